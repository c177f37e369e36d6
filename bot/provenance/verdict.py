"""Answers whether a picture was made by this Easel: what the file tells, and what the rows add to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.errors import Refusal
from bot.i18n import _
from bot.images import pictures
from bot.models import Original
from bot.provenance.keys import Keys
from bot.provenance.verify import UNPAINTED, Finding, Trace, media_type, signed, trace

Lookup = Callable[[str, str], Awaitable[Original | None]]
"""From a job's id, or else a fingerprint, to what the rows tell."""

_SENTENCES: dict[Finding, str] = {
    "unchanged": _("Made by this Easel, and unchanged since."),
    "changed": _("Made by this Easel, then changed: probably saved again or resized."),
    "alike": _("Probably made by this Easel: it looks like one of its images."),
    "unknown": _("Nothing in it says that this Easel made it. That is no proof that it did not."),
}
_CROPPED = _("Made by this Easel, then changed: probably cropped.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What anybody may be told of a picture."""

    finding: Finding
    job: str = ""
    cropped: bool = False
    model: str = ""
    made: datetime | None = None

    @property
    def sentence(self) -> str:
        return _CROPPED if self.cropped else _SENTENCES[self.finding]

    @property
    def facts(self) -> tuple[str, ...]:
        """Return the model and the day, as far as they are known."""
        day = _("Made on {day}", day=f"{self.made.astimezone(UTC):%Y-%m-%d}") if self.made else ""
        return tuple(
            each for each in (_("Model: {model}", model=self.model) if self.model else "", day) if each
        )


async def verify(data: bytes, keys: Keys, lookup: Lookup, *, max_bytes: int) -> Verdict:
    """Return what is known of a file: by its signature, else by its pixels.

    Those are decoded in the child process that takes strangers' pictures.
    A mark counts only where its job is known. Raises Refusal for what cannot be decoded.
    """
    if len(data) > max_bytes:
        raise _unreadable(max_bytes)
    found = await asyncio.to_thread(signed, data, keys) or await _by_pixels(data, keys, max_bytes)
    known = await lookup(found.job, "") if found.job else None
    if found.finding != "unchanged" and known is None:
        known = await lookup("", found.fingerprint) if found.fingerprint else None
        return _of(known, finding="alike") if known else Verdict(finding="unknown")
    return _of(known, finding=found.finding, job=found.job, cropped=found.cropped)


async def _by_pixels(data: bytes, keys: Keys, max_bytes: int) -> Trace:
    if media_type(data) in UNPAINTED:
        return Trace(finding="unknown")
    try:
        plain = await pictures.open_source(data, max_bytes=max_bytes, more=True)
    except Refusal as refusal:
        raise _unreadable(max_bytes) from refusal
    return await asyncio.to_thread(trace, plain, keys)


def _unreadable(max_bytes: int) -> Refusal:
    return Refusal(
        _(
            "Only a PNG, JPEG, WebP, AVIF, GIF, TIFF, SVG or PDF file with at most {megabytes} MB and "
            "{megapixels} million pixels can be checked.",
            megabytes=max_bytes // 1000000,
            megapixels=pictures.SOURCE_PIXELS // 1000000,
        ),
        code="source",
    )


def _of(known: Original | None, *, finding: Finding, job: str = "", cropped: bool = False) -> Verdict:
    if known is None:
        return Verdict(finding=finding, job=job, cropped=cropped)
    return Verdict(finding=finding, job=known.job, cropped=cropped, model=known.model, made=known.made)
