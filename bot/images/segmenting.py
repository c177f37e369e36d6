"""Finds what words name in a picture, by a segmentation model in a process of its own."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import structlog
from PIL import Image, ImageFilter

import engine
from bot.errors import Refusal
from bot.i18n import _
from bot.settings import CoreSettings

log = structlog.stdlib.get_logger(__name__)

PROCESS = Path(engine.__file__).with_name("segment_process.py")  # it needs torch
PATIENCE = 600.0  # seconds for the first picture, when the model may have to be downloaded
LONGEST = 4_000_000  # bytes of an answer
SURE, SEEN = 0.35, 0.5  # how sure of the best pixel a match is; the part of that which belongs to it
_PASSED_ON = ("HOME", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "PATH")


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


class ProcessSegmenter:
    """One process, started by the first question and anew after any error; one question at a time."""

    def __init__(self, model: str, patience: float = PATIENCE) -> None:
        self._model, self._patience = model, patience
        self._turn = asyncio.Lock()
        self._process: Process | None = None

    async def mask(self, picture: bytes, words: str, *, outside: bool = False) -> bytes | None:
        """Return a mask of what the words name, or of all else; None for no match. Raises Refusal."""
        async with self._turn:
            try:
                async with asyncio.timeout(self._patience):
                    answer = await self._ask(picture, words)
                return await asyncio.to_thread(_mask, answer, picture, outside=outside)
            except (TimeoutError, OSError, ValueError, KeyError, TypeError, EOFError) as error:
                await self._end()
                log.warning("the segmentation model gave no answer", model=self._model, cause=repr(error))
                notice = _("Easel cannot look for that just now. Say it by a position, as in “top right”.")
                raise Refusal(notice, code="region") from error
            except BaseException:  # cancelled: the next answer would be this one's
                await asyncio.shield(self._end())
                raise

    async def _ask(self, picture: bytes, words: str) -> dict[str, Any]:
        if self._process is None:
            environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", str(PROCESS), self._model),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env=environment,
                limit=LONGEST,
            )
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(
            json.dumps({"words": words, "size": len(picture)}).encode() + b"\n" + picture
        )
        await self._process.stdin.drain()
        if not (line := await self._process.stdout.readline()):
            raise EOFError("the process ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer

    async def close(self) -> None:
        await self._end()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


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
