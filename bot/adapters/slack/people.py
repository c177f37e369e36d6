"""Who somebody is in a workspace: name, administrator or not, user groups. Asked of Slack and remembered."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from bot.adapters.slack.errors import FAILURES, code_of
from bot.adapters.slack.workspaces import Workspace, Workspaces
from bot.errors import Refusal
from bot.models import Member
from bot.words import nearest

log = structlog.stdlib.get_logger(__name__)

GUEST = "guest"
"""The role of a guest of the workspace, beside the ids of user groups."""

REMEMBERED = 10 * 60.0  # seconds
WITHOUT_GROUPS = 60 * 60.0  # seconds until groups are asked for again where the app may not
SOON = 60.0  # seconds until they are asked for again after a failure
MOST = 10_000

_EXTERNAL = (
    "Easel draws for members of its own workspace only. Ask one of them to draw it, or your own workspace to "
    "install Easel."
)


@dataclass(frozen=True, slots=True)
class _Person:
    name: str
    admin: bool = False
    guest: bool = False
    external: bool = False
    language: str = ""


def anyone(workspace: Workspace, user: str, name: str = "") -> Member:
    """Somebody of whom nothing more is known: never an administrator."""
    return Member(tenant=f"slack:{workspace.team}", id=f"slack:{workspace.team}:{user}", name=name)


class People:
    """Makes Members of Slack's users. `admins` are user ids that count as administrators everywhere."""

    def __init__(self, workspaces: Workspaces, admins: Collection[str] = ()) -> None:
        self._workspaces = workspaces
        self._admins = frozenset(admins)
        self._known: OrderedDict[tuple[str, str], tuple[float, _Person]] = OrderedDict()
        self._groups: dict[str, tuple[float, dict[str, tuple[str, ...]]]] = {}
        self._asking = asyncio.Lock()  # so that a crowd asks once

    async def member(self, workspace: Workspace, user: str, name: str = "") -> Member:
        """The person. Raises Refusal for one of another organisation, in a channel that both share."""
        person = await self._person(workspace, user, name)
        if person.external:
            raise Refusal(_EXTERNAL, code="forbidden")
        groups = (await self._groups_of(workspace)).get(user, ())
        return replace(
            anyone(workspace, user, person.name),
            admin=person.admin or user in self._admins,
            roles=(GUEST, *groups) if person.guest else groups,
            guest=person.guest,
        )

    def language(self, workspace: Workspace, user: str) -> str:
        """The one that the Slack of somebody who is known is in, as far as Easel speaks it."""
        _, person = self._known.get((workspace.team, user), (0.0, _Person("")))
        return person.language

    async def _person(self, workspace: Workspace, user: str, name: str) -> _Person:
        key = (workspace.team, user)
        at, person = self._known.get(key, (0.0, _Person(name)))
        if time.monotonic() < at:
            return person
        try:
            client = self._workspaces.talk(workspace.token, patient=True)
            answer = await client.users_info(user=user, include_locale=True)
        except FAILURES as error:
            # Without an answer somebody may be anybody: a guest, who sees least.
            log.warning("a person is not known", cause=code_of(error))
            return _Person(name or "someone", guest=True)
        person = _read(answer["user"], workspace, name)
        self._known[key] = (time.monotonic() + REMEMBERED, person)
        while len(self._known) > MOST:
            self._known.popitem(last=False)
        return person

    async def _groups_of(self, workspace: Workspace) -> dict[str, tuple[str, ...]]:
        """User → ids of the user groups that they are in."""
        async with self._asking:
            until, groups = self._groups.get(workspace.team, (0.0, {}))
            if time.monotonic() < until:
                return groups
            groups, remembered = await self._ask_groups(workspace, groups)
            self._groups[workspace.team] = (time.monotonic() + remembered, groups)
        return groups

    async def _ask_groups(
        self, workspace: Workspace, before: dict[str, tuple[str, ...]]
    ) -> tuple[dict[str, tuple[str, ...]], float]:
        """The groups as Slack tells them, or as they were before, and for how long to believe it."""
        client = self._workspaces.talk(workspace.token)
        try:
            answer = await client.usergroups_list(include_users=True, team_id=workspace.team)
            return _by_user(answer["usergroups"]), REMEMBERED
        except FAILURES as error:
            log.warning("user groups are not known", cause=code_of(error))
            return before, WITHOUT_GROUPS if code_of(error) == "missing_scope" else SOON


def _read(user: Any, workspace: Workspace, name: str) -> _Person:
    """https://docs.slack.dev/reference/objects/user-object"""
    profile = user.get("profile") or {}
    names = (profile.get("display_name"), user.get("real_name"), profile.get("real_name"), user.get("name"))
    admin = any(user.get(each) for each in ("is_admin", "is_owner", "is_primary_owner"))
    return _Person(
        name=next((each for each in names if each), name or "someone"),
        admin=admin and user.get("team_id", workspace.team) == workspace.team,  # else they are one elsewhere
        guest=bool(user.get("is_restricted") or user.get("is_ultra_restricted") or _visits(user, workspace)),
        external=_is_external(user, workspace),
        language=nearest(user.get("locale") or ""),
    )


def _is_external(user: Any, workspace: Workspace) -> bool:
    organisation = _organisation(user).get("enterprise_id") or user.get("enterprise_id") or ""
    if workspace.enterprise and organisation:
        return bool(organisation != workspace.enterprise)
    if workspace.is_whole:  # in a channel that is shared, its workspace may be the stranger's
        return True
    return bool(user.get("is_stranger")) or user.get("team_id", workspace.team) != workspace.team


def _visits(user: Any, workspace: Workspace) -> bool:
    """Whether somebody of the organisation is in other workspaces of it only."""
    teams = _organisation(user).get("teams") or ()
    return bool(teams) and workspace.team not in teams


def _organisation(user: Any) -> Mapping[str, Any]:
    return user.get("enterprise_user") or {}


def _by_user(groups: Any) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for group in groups:
        for user in group.get("users") or ():
            found.setdefault(user, []).append(group["id"])
    return {user: tuple(sorted(ids)) for user, ids in found.items()}
