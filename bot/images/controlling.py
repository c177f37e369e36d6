"""Control pictures that a model makes, depth and pose, each by a process of its own."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Protocol

import structlog

import engine
from bot.errors import Refusal
from bot.i18n import _
from bot.images.picture_process import PictureProcess, Unanswered, models_environment
from bot.settings import CoreSettings

log = structlog.stdlib.get_logger(__name__)

PROCESS = Path(engine.__file__).with_name("control_process.py")  # it needs torch
PATIENCE = 600.0  # seconds for the first picture, when the model may have to be downloaded
LONGEST = 16_000_000  # bytes of an answer


class ControlSettings(CoreSettings):
    """What makes control pictures."""

    depth_model: str = ""
    """A model of transformers that estimates depth, for --control depth: a folder or a hub name, with
    safetensors. Empty: people give depth pictures of their own."""
    pose_model: str = ""
    """A ViTPose model of transformers, for --control pose: a folder or a hub name, with safetensors. Empty:
    people give pose pictures of their own."""


class ControlMaker(Protocol):
    """Makes a control picture of one kind."""

    async def made(self, picture: bytes) -> bytes | None:
        """Return what a picture shows of it, as PNG; None where there is nothing. Raises Refusal."""
        ...

    async def close(self) -> None: ...


class ProcessControlMaker(PictureProcess):
    """A model; its process sees where models are, and none of Easel's settings."""

    def __init__(self, kind: str, model: str, patience: float = PATIENCE) -> None:
        self._model = model
        command = (sys.executable, "-I", str(PROCESS), kind, model)
        super().__init__(command, patience, models_environment(), longest=LONGEST)

    async def made(self, picture: bytes) -> bytes | None:
        """Return what a picture shows of it, as PNG; None where there is nothing. Raises Refusal."""
        try:
            return await self.asked(picture, _answer)
        except (Unanswered, OSError) as error:
            await self.close()
            log.warning("the model for control pictures gave no answer", model=self._model, cause=repr(error))
            notice = _("Easel cannot make that control picture just now. Try again, or give your own.")
            raise Refusal(notice, code="control") from error


def _answer(line: bytes) -> bytes | None:
    answer: dict[str, str] = json.loads(line)
    if "error" in answer:
        raise ValueError(answer["error"])
    return base64.b64decode(answer["png"]) or None
