"""Accounts: who may do what, what it may cost them, and what is kept about them."""
