"""Tells a program's address of the end of its job, signed as https://www.standardwebhooks.com says.

Message sync calls again until it was told, also after a restart. Where people can name any address, a request
must reach no machine that only this one can reach: every address is looked at after its name was resolved, by
the very connection that uses it, and redirects are not followed.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import json
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult

from bot.adapters.api.errors import ApiError
from bot.errors import TryLater, Unreachable
from bot.i18n import _
from bot.models import Job

PATIENCE = 10.0  # seconds that an address may take to answer
TRIED_FOR = timedelta(days=1)  # after the job's end
LOOKUPS = 4  # names looked up at a time
AGAIN = 5.0  # seconds, at least, between two attempts
_TUNNELS = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))
"""Addresses that stand for others, which may be private."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Webhooks:
    """Signs with `key`; `allowed` are private networks that may be told all the same."""

    key: bytes
    allowed: Sequence[Network] = field(default=())

    def secret(self, key_id: str) -> str:
        """Return what a program verifies signatures with; each key of the API has its own."""
        return f"whsec_{base64.b64encode(self._secret(key_id)).decode()}"

    async def check(self, url: str) -> None:
        """Raise ApiError for an address that may not be told."""
        try:
            parts = urlsplit(url)
            port = parts.port
            good = parts.scheme in ("http", "https") and parts.hostname and not parts.username
        except ValueError:
            good = False
        if not good:
            text = _("A webhook is an address as in https://example.org/hook, without a name or password.")
            raise ApiError(400, text, code="invalid_value", param="webhook")
        try:
            async with asyncio.timeout(PATIENCE):
                await _PublicResolver(self.allowed).resolve(parts.hostname or "", port or 443)
        except (OSError, UnicodeError) as error:
            text = _("This webhook's address does not exist, or is of a private network. Take a public one.")
            raise ApiError(400, text, code="invalid_value", param="webhook") from error

    async def tell(self, url: str, key_id: str, job: Job, told: dict[str, Any]) -> None:
        """Send the end of a job. Raises TryLater, Unreachable."""
        body = json.dumps({"type": f"job.{told['status']}", "timestamp": _now(), "data": told})
        headers = {"Content-Type": "application/json", **self._signed(key_id, job.id, body)}
        cause = await self._posted(url, body, headers)
        if not cause:
            return
        if job.finished and datetime.now(UTC) - job.finished > TRIED_FOR:
            raise Unreachable(f"the webhook cannot be told: {cause}")
        raise TryLater(f"the webhook cannot be told: {cause}", after=AGAIN)

    async def _posted(self, url: str, body: str, headers: dict[str, str]) -> str:
        """Send a body; return why it was not taken, and an empty text where it was."""
        connector = TCPConnector(resolver=_PublicResolver(self.allowed), use_dns_cache=False)
        timeout = ClientTimeout(total=PATIENCE)
        try:
            if (literal := _literal(urlsplit(url).hostname or "")) and not _is_open(literal, self.allowed):
                return "a private address"
            async with (
                ClientSession(connector=connector, timeout=timeout, cookie_jar=DummyCookieJar()) as session,
                session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                return "" if 200 <= answer.status < 300 else f"status {answer.status}"
        except (ClientError, OSError, TimeoutError, ValueError) as error:
            return type(error).__name__

    def _signed(self, key_id: str, id: str, body: str) -> dict[str, str]:
        at = str(int(time.time()))
        digest = hmac.new(self._secret(key_id), f"{id}.{at}.{body}".encode(), hashlib.sha256).digest()
        signature = f"v1,{base64.b64encode(digest).decode()}"
        return {"webhook-id": id, "webhook-timestamp": at, "webhook-signature": signature}

    def _secret(self, key_id: str) -> bytes:
        return hmac.new(self.key, f"webhook/{key_id}".encode(), hashlib.sha256).digest()


class _PublicResolver(AbstractResolver):
    """Resolves names to public addresses, and to those of allowed networks; raises OSError where none is."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        look_up = partial(socket.getaddrinfo, host, port, family=family, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(_lookups(), look_up)
        if not all(_is_open(str(address[0]), self._allowed) for *_kinds, address in found):
            raise OSError("a private address")
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _type, proto, _name, address in found
        ]

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""


@cache
def _lookups() -> ThreadPoolExecutor:
    """Return threads of their own: a name whose server is slow holds up nothing but webhooks."""
    return ThreadPoolExecutor(LOOKUPS, thread_name_prefix="webhook-names")


def _is_open(host: str, allowed: Sequence[Network]) -> bool:
    address = ipaddress.ip_address(host.partition("%")[0])
    if any(address.version == each.version and address in each for each in allowed):
        return True
    tunnelled = any(address.version == each.version and address in each for each in _TUNNELS)
    return address.is_global and not address.is_multicast and not tunnelled


def _literal(host: str) -> str:
    """Return a host that is an address already, for which nothing is resolved; else an empty text."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return ""


def _now() -> str:
    return datetime.now(UTC).isoformat()
