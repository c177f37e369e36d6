"""Asks a server for one picture, by OpenAI's images API. Nothing that it answers can take much memory.

A key goes into a header of requests to its own server alone, never into an error or a log.
"""

from __future__ import annotations

import base64
import binascii
import email.utils
import ipaddress
import json
import math
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from aiohttp import (
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    FormData,
    TCPConnector,
)
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from engine.errors import EngineError
from engine.remote.dialects import Ask, fields
from engine.remote.models import Remote
from engine.text import _

MOST_BYTES = 64_000_000  # of an answer, or of one event of a stream
MOST_STREAM = 4 * MOST_BYTES  # of a whole stream
MOST_ERROR = 16_384  # bytes of an error that are read
CONNECT = 10.0  # seconds
SILENCE = 120.0  # seconds without a byte, after the first
LONGEST_PAUSE = 3600.0  # seconds that a server may ask for

Previewed = Callable[[bytes], None]
"""Called with a picture that is not finished yet."""


class RemoteError(EngineError):
    """The server of a model has not made a picture."""

    advice = _("The server of this model could not generate this. Try again later, or choose another model.")
    of_engine = False  # no device here is to blame


class RemoteRefusal(RemoteError):
    """The server does not make such pictures."""

    advice = _(
        "The service that runs this model refuses this prompt or image by its own rules. Change it; nothing "
        "was charged."
    )


class RemoteTrouble(RemoteError):
    """The server has failed, and may do better the next time."""


class RemoteBusy(RemoteTrouble):
    """The server has too much to do. `pause`: seconds that it asks for; 0 where it does not say."""

    def __init__(self, cause: str, pause: float = 0.0) -> None:
        super().__init__(cause)
        self.pause = pause


class RemoteSlow(RemoteTrouble):
    """The server has not answered in time."""

    advice = _("The server of this model did not answer in time. Try again later, or choose another model.")


_KEY = _("The server of this model refuses Easel's key. An administrator can correct it.")
_CREDIT = _("The account that pays for this model has no credit left. An administrator can add some.")
_UNKNOWN = _("The server does not know this model any more. Choose another, or tell an administrator.")
_UNFIT = _("The server of this model does not take these options. Try its defaults.")
_UNREADABLE = _("The server of this model sent no image that can be used. Try again.")
_REFUSED = ("moderation", "content_policy", "content_filter", "safety")
_NO_CREDIT = ("insufficient_quota", "billing", "credit")


class RemoteClient:
    """The connections to one server. Methods raise RemoteError and its kinds."""

    def __init__(self, remote: Remote, key: str = "") -> None:
        self._remote = remote
        self._key = key
        self._session: ClientSession | None = None

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def picture(self, ask: Ask, name: str, previewed: Previewed = lambda picture: None) -> bytes:
        """Return a picture as it came, of any format. `name` tells one request from all others."""
        try:
            return await self._picture(ask, name, previewed)
        except TimeoutError as error:
            raise RemoteSlow(f"{self._remote.host} has not answered in time") from error
        except (ClientError, OSError) as error:  # whose text may hold headers
            raise RemoteTrouble(f"{self._remote.host} cannot be reached: {type(error).__name__}") from None

    async def models(self) -> list[str]:
        """Return the names of the server's models; to see whether it answers and takes the key."""
        try:
            async with self._opened().get(
                f"{self._remote.url}/models", headers=self._headers(), allow_redirects=False
            ) as answer:
                await self._check(answer)
                listed = _object(await _bounded(answer, MOST_BYTES // 16)).get("data")
        except TimeoutError as error:
            raise RemoteSlow(f"{self._remote.host} has not answered in time") from error
        except (ClientError, OSError) as error:
            raise RemoteTrouble(f"{self._remote.host} cannot be reached: {type(error).__name__}") from None
        found = listed if isinstance(listed, list) else []
        return [str(each.get("id")) for each in found if isinstance(each, dict)]

    async def _picture(self, ask: Ask, name: str, previewed: Previewed) -> bytes:
        path = "edits" if ask.images else "generations"
        body: dict[str, Any] = {"data": _form(ask, self._remote)} if ask.images else {}
        body = body or {"json": fields(ask, self._remote.dialect)}
        headers = {**self._headers(), "Idempotency-Key": name}
        async with self._opened().post(
            f"{self._remote.url}/images/{path}", headers=headers, allow_redirects=False, **body
        ) as answer:
            await self._check(answer)
            if answer.content_type == "text/event-stream":
                told = await _streamed(answer, previewed, self._key)
            else:
                told = _object(await _bounded(answer, MOST_BYTES))
        return await self._decoded(told)

    def _opened(self) -> ClientSession:
        if self._session is None:
            timeout = ClientTimeout(
                total=self._remote.timeout, sock_connect=CONNECT, sock_read=max(SILENCE, self._remote.timeout)
            )
            connector = TCPConnector(limit=0)
            self._session = ClientSession(timeout=timeout, cookie_jar=DummyCookieJar(), connector=connector)
        return self._session

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}

    async def _check(self, answer: ClientResponse) -> None:
        """Raise what an answer that is no success means."""
        if answer.status == 200:
            return
        body = await answer.content.read(MOST_ERROR)
        code, message = _error(body)
        told = f"{self._remote.host} answered {answer.status} {code}: {_short(message, self._key)}"
        words = f"{code} {message}".casefold()
        if answer.status in (400, 403, 422) and any(each in words for each in _REFUSED):
            raise RemoteRefusal(told)
        if any(each in code.casefold() for each in _NO_CREDIT) or answer.status == 402:
            raise RemoteError(told, advice=_CREDIT)
        match answer.status:
            case 401 | 403:
                raise RemoteError(told, advice=_KEY)
            case 404:
                raise RemoteError(told, advice=_UNKNOWN)
            case 429 | 503 | 529:
                raise RemoteBusy(told, pause_of(answer.headers))
            case 408 | 409 | 425:
                raise RemoteTrouble(told)
            case status if status >= 500:
                raise RemoteTrouble(told)
        raise RemoteError(told, advice=_UNFIT)

    # ---- the picture in an answer

    async def _decoded(self, told: Mapping[str, Any]) -> bytes:
        """Return the picture of an answer: in it, or behind its address."""
        data = told.get("data")
        found = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else told
        if isinstance(inside := found.get("b64_json"), str) and inside:
            return decoded(inside)
        url = found.get("url")
        if isinstance(url, str) and url:
            if url.startswith("data:"):
                return decoded(url.partition(",")[2])
            return await self._fetched(urljoin(f"{self._remote.url}/", url))
        raise RemoteError("an answer without a picture", advice=_UNREADABLE)

    async def _fetched(self, url: str) -> bytes:
        """Fetch a picture from the server itself, or from a public address; never follow it elsewhere."""
        there, own = urlsplit(url), urlsplit(self._remote.url)
        if (there.scheme, there.netloc) == (own.scheme, own.netloc):
            return await self._read(self._opened(), url)
        if there.scheme != "https" or there.username:
            raise RemoteError("a picture at an address that is not fetched", advice=_UNREADABLE)
        if (literal := _literal(there.hostname or "")) and not literal.is_global:
            raise RemoteError("a picture at a private address", advice=_UNREADABLE)
        connector = TCPConnector(resolver=PublicResolver(), use_dns_cache=False)
        timeout = ClientTimeout(total=self._remote.timeout, sock_connect=CONNECT)
        async with ClientSession(
            connector=connector, timeout=timeout, cookie_jar=DummyCookieJar()
        ) as session:
            return await self._read(session, url)

    async def _read(self, session: ClientSession, url: str) -> bytes:
        async with session.get(url, allow_redirects=False) as answer:  # without the key
            if answer.status != 200:
                raise RemoteTrouble(f"a picture's address answered {answer.status}")
            return await _bounded(answer, MOST_BYTES)


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses alone. Raises OSError where there is another."""

    def __init__(self) -> None:
        self._threads = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._threads.resolve(host, port, family)
        for each in found:
            if not ipaddress.ip_address(each["host"].partition("%")[0]).is_global:
                raise OSError("a private address")
        return found

    async def close(self) -> None:
        await self._threads.close()


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _form(ask: Ask, remote: Remote) -> FormData:
    form = FormData()
    for name, value in fields(ask, remote.dialect).items():
        form.add_field(name, value if isinstance(value, str) else json.dumps(value))
    array = "image[]" if len(ask.images) > 1 or remote.server in ("openai", "sdcpp") else "image"
    for number, image in enumerate(ask.images):
        form.add_field(array, image, filename=f"image-{number}.png", content_type="image/png")
    if ask.mask:
        form.add_field("mask", ask.mask, filename="mask.png", content_type="image/png")
    return form


# ---- what is read of an answer


async def _bounded(answer: ClientResponse, most: int) -> bytes:
    """Return the whole body. Raises RemoteError as soon as it is larger than `most` bytes."""
    if (answer.content_length or 0) > most:
        raise _too_large(most)
    body = bytearray()
    async for part in answer.content.iter_chunked(65_536):
        body += part
        if len(body) > most:
            raise _too_large(most)
    return bytes(body)


async def _streamed(answer: ClientResponse, previewed: Previewed, key: str) -> Mapping[str, Any]:
    """Read server-sent events up to the one that carries the picture, and return it."""
    async for told in _events(answer):
        kind = str(told.get("type") or "")
        if "error" in told or kind == "error":
            raise _of_event(told, key)
        if kind.endswith(".partial_image") and isinstance(told.get("b64_json"), str):
            previewed(decoded(told["b64_json"]))
        elif kind.endswith(".completed") or "data" in told:
            return told
    raise RemoteTrouble("a stream that ended before its picture")


async def _events(answer: ClientResponse) -> AsyncIterator[Mapping[str, Any]]:
    """Yield the objects of a stream's events. Raises RemoteError for one that is too large or unreadable."""
    buffer, data, whole = bytearray(), bytearray(), 0
    async for part in answer.content.iter_any():
        whole += len(part)
        searched = len(buffer)  # up to here there is no line's end
        buffer += part
        while (end := buffer.find(b"\n", searched)) >= 0:
            line = bytes(buffer[:end]).rstrip(b"\r")
            del buffer[: end + 1]
            searched = 0
            if line.startswith(b"data:"):
                data += line[5:].strip()
            elif not line and data:
                if bytes(data) != b"[DONE]":
                    yield _object(bytes(data))
                data.clear()
        if len(buffer) + len(data) > MOST_BYTES or whole > MOST_STREAM:
            raise _too_large(MOST_BYTES)


def _of_event(told: Mapping[str, Any], key: str) -> RemoteError:
    """Return what an error inside a stream means."""
    code, message = _error(json.dumps(told).encode())
    words = f"{code} {message}".casefold()
    if any(each in words for each in _REFUSED):
        return RemoteRefusal(f"refused within a stream: {code}")
    return RemoteTrouble(f"an error within a stream: {code} {_short(message, key)}")


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RemoteError("an answer that is no JSON", advice=_UNREADABLE) from error
    if not isinstance(found, dict):
        raise RemoteError("an answer that is no object", advice=_UNREADABLE)
    return found


def decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RemoteError("a picture that is no base64", advice=_UNREADABLE) from error


def _error(body: bytes) -> tuple[str, str]:
    """Return the code and the message of an error, in any of the forms that servers have for it."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return "", body[:200].decode("utf-8", "replace")
    if not isinstance(told, dict):
        return "", ""
    error = told.get("error", told)
    if not isinstance(error, dict):  # stable-diffusion.cpp says it in words
        return "", f"{error} {told.get('message', '')}"
    code = error.get("code") or error.get("type") or ""
    return str(code), str(error.get("message") or error.get("detail") or "")


def _short(message: str, key: str = "") -> str:
    """Return the beginning of what a server says, for the log; some repeat the key."""
    return (message.replace(key, "…") if key else message)[:200]


def _too_large(most: int) -> RemoteError:
    return RemoteError(f"an answer of more than {most} bytes", advice=_UNREADABLE)


def pause_of(headers: Mapping[str, str]) -> float:
    """Return the seconds after which a server wants to be asked again; 0 where it does not say."""
    told = headers.get("Retry-After", "").strip()
    try:
        seconds = float(told)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(told).timestamp() - time.time()
        except ValueError:
            return 0.0
    return min(LONGEST_PAUSE, max(0.0, seconds)) if math.isfinite(seconds) else 0.0
