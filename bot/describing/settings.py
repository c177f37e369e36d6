"""Settings of what describes pictures."""

from __future__ import annotations

from bot.settings import CoreSettings


class DescribeSettings(CoreSettings):
    """A captioning model, where there is one."""

    caption_model: str = ""
    """A captioning model of transformers for /describe: a folder or a hub name, with safetensors. Empty: the
    classifier that ships, which knows drawings."""
    judge: str = ""
    """A CLIP or SigLIP model of transformers for --best: a folder or a hub name, with safetensors. Empty:
    only images of the model that ships are judged, by its classifier."""
