"""From a job to pictures: the fair-share queue and the shared, step-batching engine.

Knows nothing of chat, of people's names or of quotas, and never imports `bot`. torch and diffusers are
imported only by the modules that run inside a worker process.
"""
