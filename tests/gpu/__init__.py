"""Real models' sizes on a real card, with random weights: `python -m tests.gpu`."""
