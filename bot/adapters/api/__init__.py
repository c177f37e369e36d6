"""The API that programs ask: OpenAI's images API, on the web studio's port, with the queue of everybody."""
