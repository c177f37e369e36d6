"""How people come into the web studio as themselves: links from chat, invitations, sessions.

A link carries a secret of 256 bits, logs one browser in once, and does nothing when it is only fetched: the
page behind it has a button, so what previews links in chats uses none up.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote, urlsplit

from bot.errors import Refusal
from bot.i18n import _
from bot.messages import answers
from bot.messages.types import Card
from bot.models import GUEST, Login, Member, Origin
from bot.settings import is_loopback
from bot.store import Store

TENANT = "web:local"
ADMINISTRATOR = "web:@administrator"  # who has the administrator's password, and is nobody else
LINK_LIFE = timedelta(minutes=10)
INVITATION_LIFE = timedelta(days=7)  # it goes by mail or by hand
LINK = "/login/link/"  # the path of a link, before its secret
BRUSH = "/brush/"  # the path of the brush, before a job and the number of its picture


def clean_name(text: str) -> str:
    """Return a name of 1 to 32 characters without control or invisible ones. Raises ValueError."""
    text = unicodedata.normalize("NFKC", text)
    visible = "".join(c for c in text if c.isspace() or unicodedata.category(c)[0] != "C")
    name = " ".join(visible.split())
    if not 1 <= len(name) <= 32:
        raise ValueError(_("A name has 1 to 32 characters."))
    return name


def slug(name: str) -> str:
    """Return the part of a member's id that stands for a name: "Ana María" and "ana maría" are one person."""
    words = re.findall(r"\w+", name.casefold())
    return "-".join(words) or hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def member_named(name: str, *, admin: bool) -> Member:
    return Member(tenant=TENANT, id=f"web:{slug(name)}", name=name, admin=admin)


def new_guest() -> Member:
    """Return somebody who knows the shared password: a person of their own, on the guests' account."""
    number = secrets.token_hex(6)
    return Member(tenant=TENANT, id=f"{GUEST}{number}", name=f"Guest {number[:4]}")


class Logins:
    """Links, invitations and sessions of the web studio. Every method raises StoreError."""

    def __init__(self, store: Store, address: str) -> None:
        self._store = store
        self.address = address
        """Where people reach the studio; the surface sets it where the port is known only once bound."""

    async def link(self, origin: Origin) -> Card:
        """Return the card that answers `/studio`: a login link for the person who asked. Raises Refusal."""
        if origin.surface not in ("discord", "slack"):
            raise Refusal(_("/studio opens the web studio from Discord or Slack. Ask there."))
        url = await self._link(origin.member, LINK_LIFE)
        return answers.studio_link(url, here_only=self._is_here_only)

    async def brush(self, origin: Origin, job: str, index: int) -> str:
        """Return the brush's address for a picture, which logs in whoever asked in chat; empty for none."""
        path = f"{BRUSH}{job}/{index + 1}"
        if origin.surface == "web":
            return path
        if origin.surface not in ("discord", "slack") or not self.reached:
            return ""
        return f"{await self._link(origin.member, LINK_LIFE)}?next={quote(path)}"

    async def invite(self, name: str) -> tuple[Member, Card]:
        """Invite a person by name; return them and the card with the link to hand over. Raises Refusal."""
        try:
            member = member_named(clean_name(name), admin=False)
        except ValueError as error:
            raise Refusal(error.args[0]) from error
        url = await self._link(member, INVITATION_LIFE)
        return member, answers.invitation(member.name, url, here_only=self._is_here_only)

    async def _link(self, member: Member, life: timedelta) -> str:
        if not self.address:
            raise Refusal(
                _("The web studio has no address that people can open. An operator can set it as WEB_URL.")
            )
        secret = secrets.token_hex(32)
        await self._store.save_link(digest(secret), replace(member, admin=False), life)
        return f"{self.address}{LINK}{secret}"

    @property
    def reached(self) -> bool:
        """Whether people in chat can open the web studio."""
        return bool(self.address) and not self._is_here_only

    @property
    def _is_here_only(self) -> bool:
        """Whether the address can be opened only on the machine that Easel runs on."""
        return is_loopback(urlsplit(self.address).hostname or "")

    async def member_of(self, secret: str) -> Member | None:
        """Return the member that a link logs in; None where it was used, has expired, or never was."""
        return await self._store.link_of(digest(secret))

    async def use(self, secret: str, session: str, browser: str, life: timedelta) -> Member | None:
        """Use a link up for the session with that digest; None as in `member_of`."""
        return await self._store.use_link(digest(secret), session, browser, life)

    async def open(self, session: str, member: Member, browser: str, life: timedelta) -> None:
        await self._store.open_session(session, member, browser, life)

    async def session(self, session: str) -> Login | None:
        return await self._store.session(session)

    async def sessions(self, member: Member) -> list[Login]:
        """Return the sessions of the member, under any of their names; the last used first."""
        return await self._store.sessions_of(member.id)

    async def end(self, id: str, member: Member | None = None) -> None:
        """End a session; with a `member`, only one of theirs."""
        await self._store.end_session(id, member.id if member else "")

    async def end_all(self, member: Member) -> None:
        await self._store.end_sessions_of(member.id)


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
