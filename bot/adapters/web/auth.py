"""Who may come in: hosts, origins, passwords, sessions, and who a browser acts as.

Without a password and an address of its own the studio is open to this machine alone: nobody logs in there,
and names only show fair turns. Everywhere else a browser acts as whoever its session names, and no other way:
sessions begin by a link from chat, an invitation, or the shared password, which makes a guest.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
import secrets
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from aiohttp import web

from bot import private
from bot.accounts.logins import ADMINISTRATOR, TENANT, Logins, clean_name, member_named, new_guest
from bot.adapters.web.parsing import browser
from bot.adapters.web.settings import WebSettings
from bot.attempts import Attempts
from bot.errors import EaselError
from bot.models import GUEST, INSTANCE, Login, Member
from bot.settings import is_loopback

VISITOR = "Guest"
NAME_COOKIE = "easel_name"
SESSION_COOKIE = "easel_session"
SESSION = timedelta(days=30)
ADMIN_COOKIE = "easel_admin"
ADMIN_SESSION = timedelta(hours=12)
BROWSER_COOKIE = "easel_browser"
BROWSER_SECONDS = 365 * 24 * 3600
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP")
KEPT = web.RequestKey("logins", dict[str, Login])  # the request's, once they were looked up


def load_key(path: Path) -> bytes:
    """Return the random key for session digests and signatures, made in the file once. Raises EaselError."""
    return _kept(path, lambda: secrets.token_bytes(32))


def load_password(path: Path) -> str:
    """Return the administrator's password from a file, or write a random one there. Raises EaselError."""
    try:
        return _kept(path, lambda: f"{secrets.token_urlsafe(18)}\n".encode()).decode().strip()
    except UnicodeDecodeError as error:
        raise EaselError(f"{path} is not text: remove it, and Easel makes a new password.") from error


def _kept(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return the content of a file that only its owner can read; write it first if it is absent or empty."""
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


class Guesses:
    """A brake on guessing one password, which does not lock out everybody behind one address.

    A browser has five tries a minute. An address has twenty, over all of its browsers, and the password a
    hundred over all addresses; neither of the two stops a browser that has known the password before. So
    whoever guesses, from wherever, is slow, and keeps nobody out who has been in.
    """

    def __init__(self) -> None:
        self._browsers, self._addresses, self._all = Attempts(5), Attempts(20), Attempts(100)

    def stops(self, browser: str, address: str, *, known: bool) -> bool:
        crowded = self._addresses.exhausted(address) or self._all.exhausted("")
        return self._browsers.exhausted(browser) or (crowded and not known)

    def failed(self, browser: str, address: str) -> None:
        self._browsers.note(browser)
        self._addresses.note(address)
        self._all.note("")


class WebAuth:
    """Decides about every request.

    A session is a row, found by a digest of its cookie. The digest is made with a key, and for guests and
    administrators with their password too: a password that was changed ends the sessions that it opened.
    """

    def __init__(self, logins: Logins, settings: WebSettings, admin_password: str, key: bytes) -> None:
        self.open = settings.web_is_open
        self.guesses = Guesses()
        self.admin_guesses = Guesses()
        self._logins = logins
        self._password = settings.web_password.reveal()
        self._admin_password = admin_password
        self._key = key
        own = ("localhost", settings.web_host.strip("[]"), urlsplit(settings.web_url).hostname)
        self._own_names = {name.casefold() for name in own if name}
        url = urlsplit(settings.web_url)
        self._https = url.netloc if url.scheme == "https" else None
        self._proxies = tuple(map(ipaddress.ip_network, settings.web_proxies))

    # ---- where from

    @property
    def takes_password(self) -> bool:
        return bool(self._password)

    def knows_host(self, request: web.Request) -> bool:
        """Tell whether the host name may be used; a foreign name for this machine may not (DNS rebinding)."""
        host = re.sub(r":\d+$", "", request.host).casefold()
        name = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        return not self.open or name in self._own_names or _is_loopback(name)

    def is_forwarded(self, request: web.Request) -> bool:
        """Tell whether a proxy forwarded the request, although the studio is for this machine alone."""
        return self.open and any(name in request.headers for name in FORWARDED)

    def is_foreign(self, request: web.Request) -> bool:
        """Tell whether another site's page made the browser ask. Other programs send neither header."""
        site = request.headers.get("Sec-Fetch-Site", "same-origin")
        origin = request.headers.get("Origin")
        own = (None, f"http://{request.host}", f"https://{request.host}")
        return site not in ("same-origin", "none") or origin not in own

    def address(self, request: web.Request) -> str:
        """Return the client's address: the last hop that is not a known proxy; of IPv6 the network (/64)."""
        hops = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
        found = _address(request.remote or "")
        while found and self._is_proxy(found) and hops:
            if (hop := _address(hops.pop())) is None:
                break  # what stands before it is anybody's word
            found = hop
        if isinstance(found, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((found, 64), strict=False))
        return str(found or request.remote)

    def trusts(self, address: str) -> bool:
        """Tell whether an address is that of a known proxy."""
        found = _address(address)
        return found is not None and self._is_proxy(found)

    def _is_proxy(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        return any(address in network for network in self._proxies)

    # ---- who

    async def look_up(self, request: web.Request) -> None:
        """Find the request's sessions, before anybody asks for them. Raises StoreError."""
        found: dict[str, Login] = {}
        for cookie in (SESSION_COOKIE, ADMIN_COOKIE):
            if secret := request.cookies.get(cookie, ""):
                found |= {cookie: login} if (login := await self._found(cookie, secret)) else {}
        request[KEPT] = found

    async def _found(self, cookie: str, secret: str) -> Login | None:
        if cookie == ADMIN_COOKIE:
            return await self._logins.session(self._digest("admin", secret))
        own = await self._logins.session(self._digest("link", secret))
        return own or (await self._logins.session(self._digest("guest", secret)) if self._password else None)

    async def still(self, request: web.Request) -> bool:
        """Tell whether the person who opened a stream may go on with it."""
        before = self.member(request)
        await self.look_up(request)
        return self.is_member(request) and self.member(request).id == before.id

    def login(self, request: web.Request) -> Login | None:
        """Return the person's session, or None."""
        return _kept_in(request).get(SESSION_COOKIE)

    def is_member(self, request: web.Request) -> bool:
        return self.open or bool(_kept_in(request))

    def is_admin(self, request: web.Request) -> bool:
        return ADMIN_COOKIE in _kept_in(request)

    def member(self, request: web.Request) -> Member:
        """Return who the browser acts as: its session's person; on an open studio, the name it chose."""
        admin = self.is_admin(request)
        if login := self.login(request):
            return replace(login.member, admin=admin)
        if admin and not self.open:
            return replace(_kept_in(request)[ADMIN_COOKIE].member, admin=True)
        name = VISITOR
        with suppress(ValueError):
            name = clean_name(unquote(request.cookies.get(NAME_COOKIE, "")))
        return member_named(name if self.open else VISITOR, admin=admin)

    def is_guest(self, request: web.Request) -> bool:
        return self.member(request).id.startswith(GUEST)

    def takes_names(self, request: web.Request) -> bool:
        """Tell whether the browser may go on under another name."""
        return self.open and self.login(request) is None

    def operator(self, request: web.Request, place: str = INSTANCE) -> Member:
        """Return the person as an administrator of a place, by default of the whole instance."""
        member = self.member(request)
        login = _kept_in(request).get(ADMIN_COOKIE)
        if login and member.id.startswith(GUEST):  # whom the audit could not tell from other guests
            member = login.member
        return replace(member, tenant=place)

    # ---- passwords

    def opens(self, password: str) -> bool:
        return self.takes_password and hmac.compare_digest(_bytes(password), _bytes(self._password))

    def opens_admin(self, password: str) -> bool:
        return hmac.compare_digest(_bytes(password), _bytes(self._admin_password))

    def stops(self, request: web.Request, guesses: Guesses) -> bool:
        """Tell whether a password is refused unread, because too many were wrong."""
        name, known = self._browser(request)
        return guesses.stops(name, self.address(request), known=known)

    def failed(self, request: web.Request, response: web.StreamResponse, guesses: Guesses) -> None:
        """Note a wrong password, and let the browser be told apart from others at its address."""
        name, known = self._browser(request)
        name = name or secrets.token_hex(16)
        guesses.failed(name, self.address(request))
        self._mark(request, response, name, known=known)

    def _browser(self, request: web.Request) -> tuple[str, bool]:
        """Return the name that Easel gave to the browser, and whether it has logged in before."""
        name, _, signature = request.cookies.get(BROWSER_COOKIE, "").partition(".")
        for known in (True, False):
            if hmac.compare_digest(_bytes(signature), _bytes(self._signature(name, known))):
                return name, known
        return "", False

    def _mark(self, request: web.Request, response: web.StreamResponse, name: str, *, known: bool) -> None:
        value = f"{name}.{self._signature(name, known)}"
        self._set(request, response, BROWSER_COOKIE, value, BROWSER_SECONDS)

    def _signature(self, name: str, known: bool) -> str:
        return hmac.new(self._key, _bytes(f"browser/{known}/{name}"), "sha256").hexdigest()

    # ---- coming in and going

    async def take_link(
        self, request: web.Request, response: web.StreamResponse, secret: str
    ) -> Member | None:
        """Log the browser in as the person of a link; None for a link that does not hold."""
        cookie, agent = secrets.token_urlsafe(32), request.headers.get("User-Agent", "")
        member = await self._logins.use(secret, self._digest("link", cookie), browser(agent), SESSION)
        if member:
            await self._leave(request, SESSION_COOKIE)
            self._set(request, response, SESSION_COOKIE, cookie, int(SESSION.total_seconds()))
        return member

    async def sign_in(self, request: web.Request, response: web.StreamResponse) -> None:
        """Log the browser in as a new guest."""
        await self._begin(request, response, SESSION_COOKIE, "guest", new_guest(), SESSION)

    async def sign_in_admin(self, request: web.Request, response: web.StreamResponse, name: str) -> None:
        """Open the administrator's page to the browser. Raises ValueError for a name that is none."""
        member = Member(tenant=TENANT, id=ADMINISTRATOR, name=clean_name(name), admin=True)
        if self.takes_names(request):
            self.call(request, response, name)
        await self._begin(request, response, ADMIN_COOKIE, "admin", member, ADMIN_SESSION)

    async def _begin(
        self,
        request: web.Request,
        response: web.StreamResponse,
        cookie: str,
        kind: str,
        member: Member,
        life: timedelta,
    ) -> None:
        secret, agent = secrets.token_urlsafe(32), request.headers.get("User-Agent", "")
        await self._logins.open(self._digest(kind, secret), member, browser(agent), life)
        await self._leave(request, cookie)
        self._set(request, response, cookie, secret, int(life.total_seconds()))
        self._mark(request, response, self._browser(request)[0] or secrets.token_hex(16), known=True)

    async def sign_out(self, request: web.Request, response: web.StreamResponse) -> None:
        await self._leave(request, SESSION_COOKIE)
        response.del_cookie(SESSION_COOKIE)
        await self.sign_out_admin(request, response)

    async def sign_out_admin(self, request: web.Request, response: web.StreamResponse) -> None:
        await self._leave(request, ADMIN_COOKIE)
        response.del_cookie(ADMIN_COOKIE)

    async def _leave(self, request: web.Request, cookie: str) -> None:
        """End the session that a cookie stands for."""
        if login := _kept_in(request).get(cookie):
            await self._logins.end(login.id)

    def call(self, request: web.Request, response: web.StreamResponse, name: str) -> None:
        """Remember the name. Raises ValueError."""
        self._set(request, response, NAME_COOKIE, quote(clean_name(name)), BROWSER_SECONDS, samesite="Lax")

    def _set(
        self,
        request: web.Request,
        response: web.StreamResponse,
        cookie: str,
        value: str,
        seconds: int,
        samesite: str = "Strict",
    ) -> None:
        secure = request.host == self._https or _is_https(request)
        response.set_cookie(cookie, value, max_age=seconds, httponly=True, samesite=samesite, secure=secure)

    def _digest(self, kind: str, secret: str) -> str:
        passwords = {"guest": self._password, "admin": self._admin_password}
        text = f"{kind}\0{passwords.get(kind, '')}\0{secret}"
        return hmac.new(self._key, _bytes(text), "sha256").hexdigest()


def _kept_in(request: web.Request) -> dict[str, Login]:
    found: dict[str, Login] = request.get(KEPT, {})
    return found


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse an address as proxies write it, perhaps with a port; return None for anything else."""
    text = text.strip()
    bare = re.sub(r"^\[(.*)\](:\d+)?$", r"\1", text)
    bare = re.sub(r"^([\d.]+):\d+$", r"\1", bare)
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _bytes(text: str) -> bytes:
    """Encode what a browser sent; its bytes that are not UTF-8 arrive as surrogates, and are no error."""
    return text.encode("utf-8", "surrogatepass")


def _is_loopback(host: str) -> bool:
    return host != "localhost" and is_loopback(host)


def _is_https(request: web.Request) -> bool:
    return request.secure or request.headers.get("X-Forwarded-Proto") == "https"
