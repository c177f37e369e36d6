"""What a person may ask about their data: a copy of all of it, or to be forgotten."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from bot.admin import csv_export
from bot.errors import Refusal
from bot.i18n import _
from bot.images.blobs import BlobStore
from bot.messages import answers
from bot.messages.types import Card
from bot.models import Job, Origin
from bot.store import Store

log = structlog.stdlib.get_logger(__name__)

ASKED_AT_ONCE = 16  # sizes of pictures: one by one is slow where they lie in a bucket
PART = 8_000_000  # bytes of pictures in one file: the least that a platform takes, with room for the rest
DAY = 86_400.0
OFFER_DAYS = 40  # that a button whose text is kept can be pressed
LEDGER = ("at", "kind", "bucket", "device_seconds", "job")  # what a person is told of their lines

Stored = tuple[str, str, int]
"""A picture: its name in the file, its blob, and its bytes."""


class Privacy:
    """`remove` ends a job wherever it is and deletes it."""

    def __init__(
        self, store: Store, blobs: BlobStore, remove: Callable[[Job], Awaitable[None]], retention_days: int
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._remove = remove
        self._retention = retention_days

    # ---- a copy

    async def export(self, origin: Origin, part: int = 1) -> Card:
        """Pack all personal data into a ZIP; pictures that do not fit go into more parts. Raises Refusal."""
        members = await self._store.sharing(origin.member.id)
        jobs, told, found = await self._copied(members)
        parts, pictures = await asyncio.to_thread(_part, found, part)
        if not 1 <= part <= parts:
            raise Refusal(
                _("There is no part {part}; your copy has {parts}.", part=part, parts=parts), code="part"
            )
        files = await self._documents(members, told) if part == 1 else {}
        for name, blob in pictures:
            files[name] = await self._blobs.get(blob)
        packed = await asyncio.to_thread(_packed, files)
        log.info("personal data exported", jobs=jobs, part=part, parts=parts)
        name = f"easel-{part}-of-{parts}.zip" if parts > 1 else "easel.zip"
        return answers.exported(name, packed, jobs, part, parts)

    async def _copied(self, members: Sequence[str]) -> tuple[int, bytes, list[Stored]]:
        """Return the number of jobs, all of them as JSON, and the pictures that are still there.

        Page by page: a hundred thousand jobs at once would hold up everybody, even when they are let go.
        """
        jobs, told, pictures, after = 0, [], [], ""
        while page := await self._store.jobs_of(members, after):
            jobs, after = jobs + len(page), page[-1].id
            told.append(await asyncio.to_thread(_as_json, page))
            pictures += await self._sizes(page)
        return jobs, await asyncio.to_thread(_list, told), pictures

    async def _jobs(self, members: Sequence[str]) -> AsyncIterator[Job]:
        after = ""
        while page := await self._store.jobs_of(members, after):
            for job in page:
                yield job
            after = page[-1].id

    async def _sizes(self, jobs: Sequence[Job]) -> list[Stored]:
        """Return name, blob and size of every picture that is still there."""
        names = [
            (f"pictures/{job.id}-{picture.index + 1}.png", picture.blob)
            for job in jobs
            for picture in job.singles
        ]
        found = []
        for start in range(0, len(names), ASKED_AT_ONCE):
            some = names[start : start + ASKED_AT_ONCE]
            sizes = await asyncio.gather(*(self._blobs.size(blob) for _, blob in some))
            found += [(name, blob, size) for (name, blob), size in zip(some, sizes, strict=True) if size]
        return found

    async def _documents(self, members: Sequence[str], jobs: bytes) -> dict[str, bytes]:
        about = {
            "exported": datetime.now(UTC),
            "identities": list(members),
            "preferences": {member: asdict(await self._store.preferences(member)) for member in members},
            "set by administrators": [asdict(each) for each in await self._store.persons_of(members)],
            "strikes": [asdict(strike) for strike in await self._store.strikes_of(members)],
            "logged in": [
                {"browser": each.browser, "since": each.made, "last used": each.used}
                for each in await self._store.sessions_of(members[0])
            ],
            "keys": [
                {"id": key.id, "name": key.name, "scope": key.scope, "made": key.made, "last used": key.used}
                for key in await self._store.api_keys_of(members[0])
            ],
            "reported": [{"job": job, "at": at} for job, at in await self._store.reports_of(members)],
            "contests": await self._store.entered_by(members),
            "favourites": [{"job": job, "at": at} for job, at in await self._store.favourites_of(members)],
            "references": [
                {"name": each.name, "job": each.job, "prompt": each.prompt}
                for each in await self._store.references_of(members)
            ],
            "offered": [{"text": text, "at": at} for text, at in await self._store.offers_of(members)],
        }
        return {
            "about.json": await asyncio.to_thread(_json, about),
            "jobs.json": jobs,
            "ledger.csv": await self._ledger(members),
        }

    async def _ledger(self, members: Sequence[str]) -> bytes:
        """Return the ledger of the members' account, and of their own accounts before linking, as CSV."""
        text: list[str] = []
        for account in sorted({*members, await self._store.account_of(members[0])}):
            lines = csv_export.ledger(self._store.lines(account=account), LEDGER)
            pieces = [piece async for piece in lines]
            text += pieces[1:] if text else pieces  # one head for all
        return await asyncio.to_thread(lambda: "".join(text).encode())

    # ---- being forgotten

    def ask(self, origin: Origin) -> Card:
        """Return the card that explains deletion, with the button that does it."""
        return answers.forget(token(origin))

    async def forget(self, button: str, origin: Origin) -> Card:
        """Forget the person under all their names; what a stop interrupts goes on at the next start.

        Raises Refusal where the button was shown to somebody else.
        """
        if button != token(origin):
            raise Refusal(_("This button was made for someone else. Use /privacy delete."), code="forbidden")
        members = await self._store.sharing(origin.member.id)
        await self._store.begin_erasure(members)
        await self.resume()
        return answers.forgotten(len(members))

    async def resume(self) -> None:
        """Go on with what was begun; every step may be done again. Raises StoreError."""
        members = await self._store.erasing()
        if members:
            async for job in self._jobs(members):
                await self._remove(job)
            await self._store.erase(members)
            log.info("personal data deleted", people=len(members))
        await self._store.finish_erasures()

    async def expire(self) -> None:
        """Delete what is older than RETENTION_DAYS, and old offers. Raises StoreError."""
        if not (self._retention or await self._store.has_offers()):
            return
        believed, now = await self._store.believed()
        kept = min(OFFER_DAYS, self._retention or OFFER_DAYS)
        await self._store.drop_offers(believed - timedelta(days=kept))
        if not self._retention:
            return
        if now - believed > timedelta(days=1):
            log.error(
                "the clock jumped, so old jobs are deleted a day at a time: if the clock is right, run "
                "`python -m bot doctor --retention` while Easel is stopped",
                ahead_days=round((now - believed) / timedelta(days=1)),
            )
        before = believed - timedelta(days=self._retention)
        await self._store.drop_contests(before)
        while gone := await self._store.expire(before):
            log.info("old jobs deleted", jobs=gone, days=self._retention)


def token(origin: Origin) -> str:
    """Return a token that ties a button to the person it was shown to."""
    return hashlib.sha256(f"forget/{origin.member.id}".encode()).hexdigest()[:16]


def _as_dict(job: Job) -> dict[str, Any]:
    """Convert a job to a dictionary, without the data that only its surface understands."""
    told = asdict(job)
    told["origin"] = {
        "surface": job.origin.surface,
        "tenant": job.origin.member.tenant,
        "member": job.origin.member.id,
        "name": job.origin.member.name,
        "channel": job.origin.channel,
        "private": job.origin.private,
        "seen_in": job.origin.seen_in,
    }
    del told["message"]
    return told


def _part(pictures: list[Stored], number: int) -> tuple[int, list[tuple[str, str]]]:
    """Return the number of parts and the content of one; empty `pictures`, which takes a while."""
    parts = _split(pictures)
    pictures.clear()
    return len(parts), parts[number - 1] if 1 <= number <= len(parts) else []


def _split(pictures: Sequence[Stored]) -> list[list[tuple[str, str]]]:
    """Split pictures into parts of at most PART bytes, of (name, blob) each; return one part at least."""
    parts: list[list[tuple[str, str]]] = [[]]
    filled = 0
    for name, blob, size in pictures:
        if parts[-1] and filled + size > PART:
            parts.append([])
            filled = 0
        parts[-1].append((name, blob))
        filled += size
    return parts


def _as_json(jobs: Sequence[Job]) -> bytes:
    """Convert jobs to JSON, without the brackets around them."""
    return _json([_as_dict(job) for job in jobs]).removeprefix(b"[\n").removesuffix(b"\n]")


def _list(pieces: Sequence[bytes]) -> bytes:
    return b"[\n" + b",\n".join(pieces) + b"\n]" if pieces else b"[]"


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1, default=_plain).encode()


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _packed(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()
