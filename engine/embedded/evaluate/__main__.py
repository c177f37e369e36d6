from engine.embedded.evaluate import main

main()
