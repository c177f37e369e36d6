"""Files that an answer hands over: kept in memory for a while, for the person who asked."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.models import Member

KEPT = 600.0  # seconds
MOST_BYTES = 64_000_000  # of all files together, beside the newest


@dataclass(frozen=True, slots=True)
class Link:
    """A file as the page offers it."""

    name: str
    url: str
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class _File:
    owner: str
    name: str
    content: bytes
    until: float


class Downloads:
    """Names that nobody can guess, for one person each."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._files: OrderedDict[str, _File] = OrderedDict()

    def keep(self, files: Sequence[tuple[str, bytes]], member: Member) -> list[Link]:
        links = []
        for name, content in files:
            token = secrets.token_urlsafe(16)
            self._files[token] = _File(member.id, name, content, self._clock() + KEPT)
            links.append(Link(name, f"/files/{token}", len(content)))
        self._forget()
        return links

    def get(self, token: str, member: Member) -> tuple[str, bytes] | None:
        """Return a file's name and content; None when it is gone, or somebody else's."""
        self._forget()
        file = self._files.get(token)
        return (file.name, file.content) if file and file.owner == member.id else None

    def _forget(self) -> None:
        """Delete files that are too old, then the oldest while all together are too large."""
        for token in [token for token, file in self._files.items() if file.until < self._clock()]:
            del self._files[token]
        while len(self._files) > 1 and sum(len(file.content) for file in self._files.values()) > MOST_BYTES:
            self._files.popitem(last=False)
