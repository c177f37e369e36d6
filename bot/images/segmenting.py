"""Finds what words name in a picture, by a segmentation model in a process of its own."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import sys
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import structlog
from PIL import Image, ImageFilter

import engine
from bot.errors import Refusal
from bot.i18n import _
from bot.images.picture_process import PictureProcess, Unanswered, models_environment
from bot.settings import CoreSettings

log = structlog.stdlib.get_logger(__name__)

PROCESS = Path(engine.__file__).with_name("segment_process.py")  # it needs torch
PATIENCE = 600.0  # seconds for the first picture, when the model may have to be downloaded
LONGEST = 4_000_000  # bytes of an answer
SURE, SEEN = 0.35, 0.5  # how sure of the best pixel a match is; the part of that which belongs to it


class SegmentSettings(CoreSettings):
    """What finds the thing that words name."""

    segment_model: str = ""
    """A CLIPSeg model that finds what words name in an image, as a folder or a hub name. Empty: a guess,
    which is shown first."""


class Segmenter(Protocol):
    """Finds things in pictures."""

    async def mask(self, picture: bytes, words: str, *, outside: bool = False) -> bytes | None:
        """Return a mask of what the words name, or of all else; None for no match. Raises Refusal."""
        ...

    async def close(self) -> None: ...


class ProcessSegmenter(PictureProcess):
    """A CLIPSeg model; its process sees where models are, and none of Easel's settings."""

    def __init__(self, model: str, patience: float = PATIENCE) -> None:
        self._model = model
        command = (sys.executable, "-I", str(PROCESS), model)
        super().__init__(command, patience, models_environment(), longest=LONGEST)

    async def mask(self, picture: bytes, words: str, *, outside: bool = False) -> bytes | None:
        """Return a mask of what the words name, or of all else; None for no match. Raises Refusal."""
        question = json.dumps({"words": words}).encode() + b"\n" + picture
        try:
            answer = await self.asked(question, _answer)
            return await asyncio.to_thread(_mask, answer, picture, outside=outside)
        except (Unanswered, OSError, ValueError, KeyError, TypeError) as error:
            await self.close()
            log.warning("the segmentation model gave no answer", model=self._model, cause=repr(error))
            notice = _("Easel cannot look for that just now. Say it by a position, as in “top right”.")
            raise Refusal(notice, code="region") from error


def _answer(line: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise ValueError(answer["error"])
    return answer


def _mask(answer: dict[str, Any], picture: bytes, *, outside: bool) -> bytes | None:
    """Return the mask of what the model is sure of, in the picture's size; None where it is of nothing."""
    side = int(answer["side"])
    sure = np.frombuffer(base64.b64decode(answer["sure"]), np.uint8).reshape(side, side)
    if sure.max() < 255 * SURE:
        return None
    with Image.open(io.BytesIO(picture)) as opened:
        size = opened.size
    found = Image.fromarray(sure).resize(size, Image.Resampling.BILINEAR)
    least = float(sure.max()) * SEEN
    hard = found.point(lambda value: 255 if value >= least else 0).filter(ImageFilter.MaxFilter(5))
    if outside:
        hard = hard.point(lambda value: 255 - value)
    out = io.BytesIO()
    hard.save(out, "PNG")
    return out.getvalue()
