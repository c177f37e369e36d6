"""What happens to pictures on their way through chats: saved with loss, made smaller or larger."""

from __future__ import annotations

import io
from collections.abc import Callable

from PIL import Image

Change = Callable[[Image.Image], Image.Image]


def saved(kind: str, quality: int) -> Change:
    """Return what saves a picture with loss and opens it again."""

    def change(picture: Image.Image) -> Image.Image:
        data = io.BytesIO()
        picture.save(data, kind, quality=quality)
        return Image.open(data).convert("RGB")

    return change


def scaled(factor: float) -> Change:
    return lambda p: p.resize((round(p.width * factor), round(p.height * factor)), Image.Resampling.LANCZOS)
