"""Settings of the text model that rewrites prompts."""

from __future__ import annotations

from bot.settings import Address, CoreSettings, Secret


class RewritingSettings(CoreSettings):
    """A chat model on an OpenAI-compatible server, where there is one."""

    text_model_url: Address = ""
    """Where an OpenAI-compatible chat model answers, as in http://127.0.0.1:8080/v1: /shorten and /expand ask
    it. Empty: both go by rules."""
    text_model: str = "default"
    """The name by which TEXT_MODEL_URL knows the model."""
    text_model_key: Secret = Secret()
    """The key that TEXT_MODEL_URL asks for. Empty: none."""
