"""A chat model on an OpenAI-compatible server, asked to rewrite a prompt.

Nobody waits for it longer than a moment, and a server that fails is left alone for a minute. What comes too
late is kept for whoever asks the same again. Neither the key nor people's words are logged.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import OrderedDict
from typing import Any

import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout

from bot.rewriting.rules import Change

log = structlog.stdlib.get_logger(__name__)

PATIENCE = 0.8  # seconds that a person waits for it
CONNECT = 0.4  # seconds
LATEST = 30.0  # seconds until an answer that nobody waits for is given up
PAUSE = 60.0  # seconds in which a server that failed is not asked
AT_ONCE = 4  # requests
REMEMBERED = 128  # answers
MOST_BYTES = 65_536  # of an answer
LONGEST = 1500  # characters of new words

_INSTRUCTIONS: dict[Change, str] = {
    "shorten": (
        "You shorten prompts for an image generator. Keep the subject, its attributes, the setting and the "
        "style; drop repetitions, praise and filler. At most 18 words."
    ),
    "expand": (
        "You expand prompts for an image generator. Keep all that is said; add setting, light, composition "
        "and detail that fit. At most 60 words."
    ),
}
_FORM = (
    "Answer with the new prompt alone, on one line, in the language of the prompt, without quotation marks."
)
_UNSAID = re.compile(r"[{}\x00-\x1f]|-{2,}|—{2,}")
"""What would be read as a flag, or as a choice between several prompts."""


class NoWords(Exception):
    """The model said nothing that can be used, or is not asked now."""


class LateWords(NoWords):
    """The model is still working on it."""


class TextModel:
    """One server. Every answer is words to show, never to act on."""

    def __init__(self, url: str, model: str, key: str = "", *, patience: float = PATIENCE) -> None:
        self._url = f"{url}/chat/completions"
        self._model = model
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._patience = patience
        self._session: ClientSession | None = None
        self._working: dict[tuple[Change, str], asyncio.Task[str]] = {}
        self._known: OrderedDict[tuple[Change, str], str] = OrderedDict()
        self._closed_until = 0.0  # by the monotonic clock

    async def rewrite(self, change: Change, prompt: str) -> str:
        """Return the prompt in the model's words, within a moment. Raises NoWords, LateWords."""
        asked = change, prompt
        if asked in self._known:
            return self._known[asked]
        task = self._working.get(asked) or self._begin(asked)
        done, _ = await asyncio.wait({task}, timeout=self._patience)
        if not done:
            raise LateWords
        return task.result()

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._working.values():
            task.cancel()
        await asyncio.gather(*self._working.values(), return_exceptions=True)
        if self._session:
            await self._session.close()

    def _begin(self, asked: tuple[Change, str]) -> asyncio.Task[str]:
        if time.monotonic() < self._closed_until or len(self._working) >= AT_ONCE:
            raise NoWords("it is not asked now")
        task = self._working[asked] = asyncio.create_task(self._ask(*asked), name="text-model")
        task.add_done_callback(lambda done: self._end(asked, done))
        return task

    def _end(self, asked: tuple[Change, str], task: asyncio.Task[str]) -> None:
        """Keep an answer; leave a server alone that gave none."""
        del self._working[asked]
        if task.cancelled():
            return
        if error := task.exception():
            self._closed_until = time.monotonic() + PAUSE
            log.warning("the text model gave no words", cause=str(error), pause=PAUSE)
            return
        self._known[asked] = task.result()
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    async def _ask(self, change: Change, prompt: str) -> str:
        try:
            async with asyncio.timeout(LATEST):
                return _words(await self._answer(change, prompt), change, prompt)
        except TimeoutError as error:
            raise NoWords(f"no answer within {LATEST:g} s") from error
        except (ClientError, OSError) as error:  # whose text may hold headers
            raise NoWords(type(error).__name__) from None

    async def _answer(self, change: Change, prompt: str) -> bytes:
        body = {
            "model": self._model,
            "messages": [
                {"role": "system", "content": f"{_INSTRUCTIONS[change]} {_FORM}"},
                {"role": "user", "content": prompt},
            ],
            "max_tokens": 400,
            "temperature": 0.7,
            "stream": False,
        }
        if self._session is None:
            timeout = ClientTimeout(total=LATEST, connect=CONNECT)
            self._session = ClientSession(timeout=timeout, headers=self._headers)
        async with self._session.post(self._url, json=body, allow_redirects=False) as response:
            if response.status != 200:
                raise NoWords(f"status {response.status}")
            return await _bounded(response.content)


async def _bounded(content: Any) -> bytes:
    parts: list[bytes] = []
    async for part in content.iter_any():
        parts.append(part)
        if sum(map(len, parts)) > MOST_BYTES:
            raise NoWords(f"more than {MOST_BYTES} bytes")
    return b"".join(parts)


def _words(answer: bytes, change: Change, prompt: str) -> str:
    """Return the words of an answer, on one line, with nothing that reads as a flag. Raises NoWords."""
    try:
        content = json.loads(answer)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise NoWords(f"an answer of another form: {type(error).__name__}") from None
    if not isinstance(content, str):
        raise NoWords("an answer without words")
    told = " ".join(_UNSAID.sub(" ", content.rpartition("</think>")[2]).split()).strip("\"'“”„«» ")
    if not told or len(told) > LONGEST or told.startswith("/"):
        raise NoWords("an answer that is no prompt")
    if (change == "shorten") != (len(told) < len(prompt)):
        raise NoWords("an answer that changes the length the other way")
    return told
