"""Models that are painted by a server with OpenAI's images API, which is asked for whole pictures."""
