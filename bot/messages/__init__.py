"""What is shown, as data: the adapters render it."""
