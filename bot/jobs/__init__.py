"""Jobs: from a request that is planned and admitted to a message that shows its end."""
