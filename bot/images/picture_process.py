"""A process that looks at pictures: each goes in with its length before it, and a line about it comes out."""

from __future__ import annotations

import asyncio
import contextlib
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")

_CAUSE = 2000  # characters of what the process said at its end
_SEEN = ("PATH", "HOME", "LANG", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_ENDPOINT", "XDG_CACHE_HOME",
         "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy")  # fmt: skip
"""What the process of a model sees of the environment: where models are, and how they are fetched."""
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, EOFError)


class Unanswered(Exception):
    """The process said nothing, something else, or too late."""


class PictureProcess:
    """Started by the first picture and anew after any error; one picture at a time."""

    def __init__(
        self,
        command: Sequence[str],
        patience: float,
        environment: Mapping[str, str] | None = None,
        *,
        longest: int = 2**16,
    ) -> None:
        self._command = tuple(command)
        self._patience = patience  # seconds for one picture
        self._longest = longest  # bytes of an answer
        self._environment = dict(environment or {})
        self._turn = asyncio.Lock()
        self._process: Process | None = None

    @property
    def busy(self) -> bool:
        """Tell whether somebody's picture is being looked at."""
        return self._turn.locked()

    async def asked(self, picture: bytes, read: Callable[[bytes], T]) -> T:
        """Return what `read` makes of the line about a picture. Raises Unanswered."""
        async with self._turn:
            try:
                async with asyncio.timeout(self._patience):
                    return read(await self._ask(picture))
            except TimeoutError as error:
                await self._end()
                raise Unanswered(f"no answer within {self._patience:g} s") from error
            except _UNREADABLE as error:
                raise Unanswered(f"{error!r} {await self._end()}".strip()) from error
            except BaseException:  # cancelled: the next answer would be this picture's
                await asyncio.shield(self._end())
                raise

    async def _ask(self, picture: bytes) -> bytes:
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                env=self._environment,
                limit=self._longest,
            )
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(framed(picture))
        await self._process.stdin.drain()
        answer = await self._process.stdout.readline()
        if not answer:
            raise EOFError("the process ended")
        return answer

    async def _end(self) -> str:
        """Stop the process; return what it said last."""
        process, self._process = self._process, None
        if process is None:
            return ""
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        _, said = await process.communicate()
        return said.decode(errors="replace")[-_CAUSE:]

    async def close(self) -> None:
        """Stop the process, if there is one."""
        await self._end()


def framed(picture: bytes) -> bytes:
    """Return a picture with its length before it."""
    return len(picture).to_bytes(4, "big") + picture


def models_environment() -> dict[str, str]:
    """Return the environment of a process with a model of transformers: none of Easel's settings."""
    seen = {name: os.environ[name] for name in _SEEN if name in os.environ}
    return seen | {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
