"""The processes that paint, and what gives them work."""
