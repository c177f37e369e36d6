"""Who may come in: hosts, origins, passwords, and the name a person goes by."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import tempfile
import time
import unicodedata
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, unquote

from aiohttp import web

from bot import private
from bot.errors import EaselError
from bot.models import HOUSE, Member

TENANT = "web:local"
GUEST = "Guest"
NAME_COOKIE = "easel_name"
SESSION_COOKIE = "easel_session"
SESSION_SECONDS = 30 * 24 * 3600
ADMIN_COOKIE = "easel_admin"
ADMIN_SECONDS = 12 * 3600


def clean_name(text: str) -> str:
    """A name of 1 to 32 characters without control or invisible ones. Raises ValueError."""
    text = unicodedata.normalize("NFKC", text)
    visible = "".join(c for c in text if c.isspace() or unicodedata.category(c)[0] != "C")
    name = " ".join(visible.split())
    if not 1 <= len(name) <= 32:
        raise ValueError("A name has 1 to 32 characters.")
    return name


def slug(name: str) -> str:
    """The part of a member's id that stands for the name: "Ana María" and "ana maría" are one person."""
    words = re.findall(r"\w+", name.casefold())
    return "-".join(words) or hashlib.sha256(_bytes(name)).hexdigest()[:12]


def member_named(name: str, *, admin: bool) -> Member:
    return Member(tenant=TENANT, id=f"web:{slug(name)}", name=name, admin=admin)


def load_key(path: Path) -> bytes:
    """The random key that signs sessions, kept in that file. Raises EaselError."""
    return _kept(path, lambda: secrets.token_bytes(32))


def load_password(path: Path) -> str:
    """The administrator's password, random unless another was written into that file. Raises EaselError."""
    try:
        return _kept(path, lambda: f"{secrets.token_urlsafe(18)}\n".encode()).decode().strip()
    except UnicodeDecodeError as error:
        raise EaselError(f"{path} is not text: remove it, and Easel makes a new password.") from error


def _kept(path: Path, make: Callable[[], bytes]) -> bytes:
    """What a file holds that its owner alone can read; it is made at the first use, and when it is empty."""
    try:
        kept = path.read_bytes() if path.exists() else b""
        if not kept.strip():
            kept = make()
            private.folder(path.parent)
            # Complete or absent, however this process ends; mkstemp's files are their owner's.
            handle, fresh = tempfile.mkstemp(dir=path.parent, prefix=path.name)
            with os.fdopen(handle, "wb") as file:
                file.write(kept)
            os.replace(fresh, path)
    except OSError as error:
        raise EaselError(f"{path} cannot be used ({error.strerror}): make it a file you may read.") from error
    return kept


class Attempts:
    """A brake on guessing: at most `limit` failures in `seconds` from one address."""

    def __init__(self, limit: int = 5, seconds: float = 60.0, addresses: int = 1024) -> None:
        self._limit, self._seconds, self._addresses = limit, seconds, addresses
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def failed(self, address: str) -> None:
        self._failures.setdefault(address, deque(maxlen=self._limit)).append(time.monotonic())
        self._failures.move_to_end(address)
        while len(self._failures) > self._addresses:
            self._failures.popitem(last=False)

    def exhausted(self, address: str) -> bool:
        failures = self._failures.get(address, ())
        return sum(time.monotonic() - at < self._seconds for at in failures) >= self._limit


class Access:
    """Decides about every request; keeps nothing but the last failed logins.

    Without a password only this machine reaches the page. With one, the password is shared: names are then a
    courtesy among people who trust each other. Nobody administrates without the administrator's password,
    which is never empty.
    """

    def __init__(
        self,
        password: str,
        admin_password: str,
        key: bytes,
        *,
        host: str = "localhost",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.attempts = Attempts()
        self.admin_attempts = Attempts()
        self._password = password
        self._admin_password = admin_password
        self._own_names = ("localhost", host.strip("[]").casefold())
        # A changed password ends every session of its kind, and one kind never passes for the other.
        self._key = hmac.digest(key, _bytes(password), "sha256")
        self._admin_key = hmac.digest(key, b"administrator\0" + _bytes(admin_password), "sha256")
        self._clock = clock

    @property
    def needs_password(self) -> bool:
        return bool(self._password)

    def knows_host(self, request: web.Request) -> bool:
        """False for a foreign name that resolves to this machine (DNS rebinding)."""
        host = re.sub(r":\d+$", "", request.host).casefold()
        name = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        return self.needs_password or name in self._own_names or _is_loopback(name)

    def is_foreign(self, request: web.Request) -> bool:
        """Whether another site's page made the browser ask. Programs that are no browsers send neither."""
        site = request.headers.get("Sec-Fetch-Site", "same-origin")
        origin = request.headers.get("Origin")
        own = (None, f"http://{request.host}", f"https://{request.host}")
        return site not in ("same-origin", "none") or origin not in own

    def is_member(self, request: web.Request) -> bool:
        return (
            not self.needs_password
            or self._holds(self._key, request.cookies.get(SESSION_COOKIE, ""))
            or self.is_admin(request)
        )

    def is_admin(self, request: web.Request) -> bool:
        return self._holds(self._admin_key, request.cookies.get(ADMIN_COOKIE, ""))

    def opens(self, password: str) -> bool:
        return hmac.compare_digest(_bytes(password), _bytes(self._password))

    def opens_admin(self, password: str) -> bool:
        return hmac.compare_digest(_bytes(password), _bytes(self._admin_password))

    def member(self, request: web.Request) -> Member:
        try:
            name = clean_name(unquote(request.cookies.get(NAME_COOKIE, "")))
        except ValueError:
            name = GUEST
        return member_named(name, admin=self.is_admin(request))

    def operator(self, request: web.Request, place: str = HOUSE) -> Member:
        """The person as an administrator of a place; of the house, and so of all, unless one is named."""
        return replace(self.member(request), tenant=place)

    def sign_in(self, request: web.Request, response: web.StreamResponse) -> None:
        self._sign(request, response, SESSION_COOKIE, self._key, SESSION_SECONDS)

    def sign_in_admin(self, request: web.Request, response: web.StreamResponse) -> None:
        self._sign(request, response, ADMIN_COOKIE, self._admin_key, ADMIN_SECONDS)

    def sign_out(self, response: web.StreamResponse) -> None:
        response.del_cookie(SESSION_COOKIE)
        self.sign_out_admin(response)

    def sign_out_admin(self, response: web.StreamResponse) -> None:
        response.del_cookie(ADMIN_COOKIE)

    def _sign(
        self, request: web.Request, response: web.StreamResponse, cookie: str, key: bytes, seconds: int
    ) -> None:
        expires = f"{self._clock() + seconds:.0f}"
        response.set_cookie(
            cookie,
            f"{expires}.{_signature(key, expires)}",
            max_age=seconds,
            httponly=True,
            samesite="Strict",
            secure=_is_https(request),
        )

    def call(self, request: web.Request, response: web.StreamResponse, name: str) -> None:
        """Remember the name. Raises ValueError."""
        response.set_cookie(
            NAME_COOKIE,
            quote(clean_name(name)),
            max_age=365 * 24 * 3600,
            httponly=True,
            samesite="Lax",
            secure=_is_https(request),
        )

    def _holds(self, key: bytes, session: str) -> bool:
        expires, _, signature = session.partition(".")
        genuine = hmac.compare_digest(_bytes(signature), _bytes(_signature(key, expires)))
        return genuine and int(expires) > self._clock()


def _signature(key: bytes, expires: str) -> str:
    return hmac.new(key, _bytes(expires), "sha256").hexdigest()


def _bytes(text: str) -> bytes:
    """What a browser sent may hold bytes that are no UTF-8; they arrive as surrogates."""
    return text.encode("utf-8", "surrogatepass")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_https(request: web.Request) -> bool:
    return request.secure or request.headers.get("X-Forwarded-Proto") == "https"
