"""Contests: entries, a vote, a result."""
