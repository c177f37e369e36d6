"""Finds what words name in a picture, by a segmentation model in a process of its own."""

from __future__ import annotations

from typing import Protocol


class Segmenter(Protocol):
    """Finds things in pictures."""

    async def mask(self, picture: bytes, words: str, *, outside: bool = False) -> bytes | None:
        """Return a mask of what the words name, or of all else; None for no match. Raises Refusal."""
        ...

    async def close(self) -> None: ...
