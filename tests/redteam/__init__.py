"""The corpus that moderation is measured on; `python -m tests.redteam` prints the figures."""
