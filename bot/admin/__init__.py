"""What administrators do and see, and the command line's way into a running Easel."""
