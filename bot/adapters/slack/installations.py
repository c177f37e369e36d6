"""Where the app is installed, for Bolt's OAuth flow: kept in Easel's database, with every token encrypted.

SLACK_TOKEN_KEYS holds Fernet keys with commas between them. The first encrypts, all decrypt; so a new key
is put in front of the old one, and after the next start nothing needs the old one any more.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from logging import Logger
from typing import Any

import structlog
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from slack_sdk.oauth.installation_store import Bot, Installation
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.state_store.async_state_store import AsyncOAuthStateStore

from bot.errors import SettingError
from bot.settings import Secret
from bot.store import Installations

log = structlog.stdlib.get_logger(__name__)

STATE_SECONDS = 600
MOST_STATES = 10_000


def vault(keys: Secret) -> MultiFernet:
    """Return what encrypts and decrypts with the keys of the setting. Raises SettingError."""
    try:
        return MultiFernet([Fernet(key.strip()) for key in keys.reveal().split(",") if key.strip()])
    except ValueError as error:
        raise SettingError(
            "SLACK_TOKEN_KEYS cannot be used: make a key with `python -m bot slack key`, and put commas "
            "between several."
        ) from error


class SealedInstallations(AsyncInstallationStore):
    """One installation for each workspace, or for a whole organisation, whichever was installed."""

    def __init__(self, rows: Installations, keys: MultiFernet) -> None:
        self._rows = rows
        self._keys = keys
        self.on_saved: Callable[[], None] | None = None  # called when something was installed (again)

    @property
    def logger(self) -> Logger:
        return logging.getLogger("slack_sdk.oauth")

    async def rotate(self) -> int:
        """Encrypt everything with the first key; return how many are readable. Raises StoreError."""
        readable = 0
        for place, sealed in (await self._rows.installations("slack")).items():
            try:
                await self._rows.save_installation(place, self._keys.rotate(sealed).decode())
                readable += 1
            except (InvalidToken, TypeError):
                log.error(
                    "an installation was sealed with a key that is not in SLACK_TOKEN_KEYS", place=place
                )
        return readable

    async def find(self, team: str, enterprise: str = "") -> Installation | None:
        """Return the workspace's own installation, else its organisation's. Raises StoreError."""
        for place in (_place(team), _place(enterprise)):
            if place and (sealed := await self._rows.installation(place)):
                return self._opened(place, sealed)
        return None

    def _opened(self, place: str, sealed: str) -> Installation | None:
        try:
            return Installation(**json.loads(self._keys.decrypt(sealed)))
        except (InvalidToken, ValueError, TypeError):
            log.error("an installation cannot be read with SLACK_TOKEN_KEYS", place=place)
            return None

    # ---- what Bolt calls

    async def async_save(self, installation: Installation) -> None:
        """Keep an installation, unless a newer one is kept already. Raises StoreError."""
        whole = installation.is_enterprise_install
        place = _place((installation.enterprise_id if whole else installation.team_id) or "")
        kept, _ = await self._kept(place)
        if kept and _since(kept) > _since(installation):
            log.info("an older installation is left", place=place)
            return
        values = {name: getattr(installation, name) for name in _KEPT}
        await self._rows.save_installation(place, self._keys.encrypt(json.dumps(values).encode()).decode())
        log.info("installed", place=place)
        if self.on_saved:
            self.on_saved()

    async def removed(self, team: str, enterprise: str, at: float) -> bool:
        """Forget what was removed at the Unix time `at`: a workspace's installation, or an organisation's.

        Slack may tell of a removal late. False where what is kept was installed after it: that stays.
        Raises StoreError.
        """
        place = _place(team or enterprise)
        kept, sealed = await self._kept(place)
        if kept and _since(kept) > at:
            return False
        await self._rows.remove_installation(place, sealed)
        log.info("uninstalled", place=place)
        return True

    async def _kept(self, place: str) -> tuple[Installation | None, str]:
        """Return the installation kept for a place, with its encrypted text, if there is one."""
        sealed = await self._rows.installation(place) if place else None
        return (self._opened(place, sealed), sealed) if sealed else (None, "")

    async def async_find_installation(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None = None,
        is_enterprise_install: bool | None = False,
    ) -> Installation | None:
        return await self.find("" if is_enterprise_install else team_id or "", enterprise_id or "")

    async def async_find_bot(
        self, *, enterprise_id: str | None, team_id: str | None, is_enterprise_install: bool | None = False
    ) -> Bot | None:
        found = await self.find("" if is_enterprise_install else team_id or "", enterprise_id or "")
        return found.to_bot() if found else None

    async def async_delete_installation(
        self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None = None
    ) -> None:
        await self.async_delete_all(enterprise_id=enterprise_id, team_id=team_id)

    async def async_delete_bot(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        await self.async_delete_all(enterprise_id=enterprise_id, team_id=team_id)

    async def async_delete_all(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        """Forget the workspace's installation; without a workspace, the organisation's."""
        await self.removed(team_id or "", enterprise_id or "", time.time())


_KEPT = (
    "app_id",
    "enterprise_id",
    "team_id",
    "bot_token",
    "bot_id",
    "bot_user_id",
    "bot_scopes",
    "user_id",
    "is_enterprise_install",
    "installed_at",
)


def _since(installation: Installation) -> int:
    """Return when it was installed, in whole seconds, as events give the time."""
    return int(installation.installed_at or 0)


def _place(id: str) -> str:
    return f"slack:{id}" if id else ""


class SealedStates(AsyncOAuthStateStore):
    """States of the OAuth flow that need no table: sealed with their time, and each taken once."""

    def __init__(self, keys: MultiFernet) -> None:
        self._keys = keys
        self._taken: OrderedDict[str, None] = OrderedDict()

    @property
    def logger(self) -> Logger:
        return logging.getLogger("slack_sdk.oauth")

    async def async_issue(self, *args: Any, **kwargs: Any) -> str:
        return self._keys.encrypt(secrets.token_bytes(16)).decode()

    async def async_consume(self, state: str) -> bool:
        try:
            self._keys.decrypt(state, ttl=STATE_SECONDS)
        except (InvalidToken, TypeError):
            return False
        if state in self._taken:
            return False
        self._taken[state] = None
        if len(self._taken) > MOST_STATES:
            self._taken.popitem(last=False)
        return True
