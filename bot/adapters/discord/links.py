"""Images that people name by their addresses on Discord's own hosts, and by no others."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import aiohttp

from bot.errors import Refusal
from bot.i18n import _

HOSTS = ("cdn.discordapp.com", "media.discordapp.net")
TIMEOUT = aiohttp.ClientTimeout(total=30)

_EXPIRED = _("That link has expired: Discord's links to images last a day. Attach the image itself.")


@dataclass(frozen=True, slots=True)
class LinkedPicture:
    """An image at an address of Discord's."""

    url: str


def linked(url: str) -> LinkedPicture | None:
    """Return the image at an address, None where it is not on Discord's hosts. Raises Refusal."""
    parts = urlsplit(url)
    if (parts.scheme, parts.netloc.casefold()) not in [("https", each) for each in HOSTS]:
        return None
    ends = parse_qs(parts.query).get("ex", [""])[0]
    if re.fullmatch(r"[0-9a-f]{1,12}", ends) and int(ends, 16) < time.time():
        raise Refusal(_EXPIRED, code="source")
    return LinkedPicture(url)


async def fetch(url: str, check_size: Callable[[int], None]) -> bytes:
    """Download an image, and follow no redirect. Raises Refusal, ClientError, TimeoutError.

    Raises what `check_size` raises for its bytes, before more of them are read.
    """
    async with (
        aiohttp.ClientSession(timeout=TIMEOUT) as session,
        session.get(url, allow_redirects=False) as answer,
    ):
        if answer.status in (403, 404, 410):
            raise Refusal(_EXPIRED, code="source")
        if answer.status != 200:
            raise aiohttp.ClientError(f"an image was answered {answer.status}")
        check_size(answer.content_length or 0)
        content = bytearray()
        async for part in answer.content.iter_chunked(1 << 16):
            content += part
            check_size(len(content))
        return bytes(content)
