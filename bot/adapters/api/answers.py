"""A job as OpenAI's clients read it: an answer, or the events of a stream."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.adapters.api.fields import Format, Wanted
from bot.models import Job, State
from engine.types import TRANSPARENT

LINK_SECONDS = 3600  # for which an address shows an image
_SIZES = ("1024x1024", "1024x1536", "1536x1024")
"""Those that OpenAI's schemas name; another one is "auto" there, and told beside."""


@dataclass(frozen=True, slots=True)
class LinkSigner:
    """Makes addresses of images that nobody can guess, and reads them; they hold no name of anybody."""

    key: bytes

    def token(self, job: str, index: int, format: Format) -> str:
        told = f"{job}.{index}.{format}.{int(time.time()) + LINK_SECONDS}"
        return f"{told}.{self._signature(told)}"

    def address(self, base: str, job: str, index: int, format: Format) -> str:
        """Return the address of an image, which begins with `base`."""
        return f"{base}/v1/files/{self.token(job, index, format)}"

    def read(self, token: str) -> tuple[str, int, Format] | None:
        """Return the job, the index and the format; None for one that has expired or is not ours."""
        told, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), self._signature(told).encode()):
            return None
        job, index, format, until = told.split(".")
        return (job, int(index), format) if int(until) > time.time() else None  # type: ignore[return-value]

    def _signature(self, told: str) -> str:
        text = f"image/{told}".encode("utf-8", "replace")
        return hmac.new(self.key, text, hashlib.sha256).hexdigest()[:32]


def about(job: Job, wanted: Wanted) -> dict[str, Any]:
    """Return what only Easel tells of a job."""
    return {
        "job": job.id,
        "size": _pixels(job),
        **_facts(job),
        "ignored": list(wanted.ignored),
    }


def _facts(job: Job) -> dict[str, Any]:
    return {
        "model": job.request.model,
        "seeds": [each.seed for each in job.singles],
        "gpu_seconds": round(job.device_seconds, 3),
        "relaxed": job.relaxed,
        "note": job.note,
    }


_STATES: Mapping[State, str] = {
    State.QUEUED: "queued",
    State.RUNNING: "in_progress",
    State.RENDERED: "completed",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
    State.DELETED: "cancelled",
}


def job(job: Job, links: LinkSigner, base: str) -> dict[str, Any]:
    """Return a job as it stands, with addresses of its images, which begin with `base`."""
    shown = job.state is State.RENDERED and not any(each.adult for each in job.singles)
    urls = [links.address(base, job.id, each.index, "png") for each in job.singles] if shown else []
    return {
        "id": job.id,
        "object": "job",
        "status": _STATES[job.state],
        "created": int(job.created.timestamp()),
        **_facts(job),
        "reason": job.reason,
        "data": [{"url": url} for url in urls],
    }


async def image(job: Job, data: bytes | str) -> dict[str, Any]:
    """Return one entry of an answer's `data`: a file, or the address of one."""
    shown = {"url": data} if isinstance(data, str) else {"b64_json": await encoded(data)}
    return {**shown, "revised_prompt": job.request.prompt}


async def encoded(data: bytes) -> str:
    return await asyncio.to_thread(lambda: base64.b64encode(data).decode())


def response(job: Job, wanted: Wanted, images: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the answer of a job that has ended well."""
    size = _size(job)
    return {
        "created": int(job.created.timestamp()),
        "data": images,
        "background": _background(job),
        "output_format": wanted.format,
        **({"size": size} if size != "auto" else {}),
        "usage": usage(),
        "easel": about(job, wanted),
    }


def usage() -> dict[str, Any]:
    """Return the tokens, of which there are none: Easel counts GPU seconds."""
    return {
        "input_tokens": 0,
        "output_tokens": 0,
        "total_tokens": 0,
        "input_tokens_details": {"text_tokens": 0, "image_tokens": 0},
    }


def event(kind: str, job: Job, b64: str, format: Format, **more: Any) -> bytes:
    """Return an event of a stream that carries an image."""
    told = {
        "type": kind,
        "b64_json": b64,
        "created_at": int(job.created.timestamp()),
        "size": _size(job),
        "quality": "auto",
        "background": _background(job),
        "output_format": format,
        **more,
    }
    return frame(kind, told)


def frame(kind: str, told: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(told)}\n\n".encode()


def _background(job: Job) -> str:
    return TRANSPARENT if job.request.background == TRANSPARENT else "opaque"


def _size(job: Job) -> str:
    size = _pixels(job)
    return size if size in _SIZES else "auto"


def _pixels(job: Job) -> str:
    return f"{job.request.width}x{job.request.height}"
