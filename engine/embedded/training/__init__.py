"""Trains the built-in model; never imported at run time."""
