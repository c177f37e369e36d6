"""Who somebody is in a workspace: name, administrator or not, user groups. Asked of Slack and remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from bot.adapters.slack.cache import Cache
from bot.adapters.slack.errors import FAILURES, code_of
from bot.adapters.slack.workspaces import PATIENCE, Workspace, Workspaces
from bot.errors import Refusal
from bot.i18n import _
from bot.i18n.speech import nearest
from bot.models import Member

log = structlog.stdlib.get_logger(__name__)

GUEST = "guest"
"""The role of a guest of the workspace, beside the ids of user groups."""

REMEMBERED = 10 * 60.0  # seconds
WITHOUT_GROUPS = 60 * 60.0  # seconds until groups are asked for again where the app may not
SOON = 60.0  # seconds until they are asked for again after a failure

Groups = Mapping[str, tuple[str, ...]]
"""User → ids of the user groups that they are in."""

_EXTERNAL = _(
    "Only members of this workspace can use Easel. Ask one of them, or ask your own "
    "workspace to install Easel."
)


@dataclass(frozen=True, slots=True)
class _Person:
    name: str
    admin: bool = False
    guest: bool = False
    external: bool = False
    bot: bool = False
    language: str = ""


def anyone(workspace: Workspace, user: str, name: str = "") -> Member:
    """Return a member of which nothing more is known: never an administrator."""
    return Member(tenant=f"slack:{workspace.team}", id=f"slack:{workspace.team}:{user}", name=name)


class SlackUsers:
    """Makes Members of Slack's users. `admins` are user ids that count as administrators everywhere."""

    def __init__(self, workspaces: Workspaces, admins: Collection[str] = ()) -> None:
        self._workspaces = workspaces
        self._admins = frozenset(admins)
        self._known: Cache[_Person] = Cache()
        self._groups: Cache[Groups] = Cache()

    async def member(self, workspace: Workspace, user: str, name: str = "") -> Member:
        """Return the person; with least rights if Slack is late. Raises Refusal for other organisations."""
        person, groups = await asyncio.gather(
            self._known.get(
                (workspace.team, user),
                lambda: self._ask(workspace, user, name),
                _Person(name or "someone", guest=True),  # may be anybody, so they see least
                PATIENCE,
            ),
            self._groups.get(workspace.team, lambda: self._ask_groups(workspace), {}, PATIENCE),
        )
        if person.external:
            raise Refusal(_EXTERNAL, code="forbidden")
        mine = groups.get(user, ())
        return replace(
            anyone(workspace, user, person.name),
            admin=person.admin or user in self._admins,
            roles=(GUEST, *mine) if person.guest else mine,
            guest=person.guest,
        )

    async def is_bot(self, workspace: Workspace, user: str) -> bool:
        """Tell whether a user is an app; what Slack does not tell in time is a person."""
        known = await self._known.get(
            (workspace.team, user), lambda: self._ask(workspace, user, ""), _Person("someone"), PATIENCE
        )
        return known.bot

    def language(self, workspace: Workspace, user: str) -> str:
        """Return the language of a known person's Slack; empty if unknown or not spoken by Easel."""
        return self._known.old((workspace.team, user), _Person("")).language

    async def _ask(self, workspace: Workspace, user: str, name: str) -> tuple[_Person | None, float]:
        client = self._workspaces.talk(workspace.token, team=workspace.team, patient=True)
        try:
            answer = await client.users_info(user=user, include_locale=True)
        except FAILURES as error:
            log.warning("a person is not known", cause=code_of(error))
            return None, 0.0
        return _read(answer["user"], workspace, name), REMEMBERED

    async def _ask_groups(self, workspace: Workspace) -> tuple[Groups | None, float]:
        client = self._workspaces.talk(workspace.token, team=workspace.team)
        try:
            answer = await client.usergroups_list(include_users=True, team_id=workspace.team)
        except FAILURES as error:
            log.warning("user groups are not known", cause=code_of(error))
            return None, WITHOUT_GROUPS if code_of(error) == "missing_scope" else SOON
        return _by_user(answer["usergroups"]), REMEMBERED


def _read(user: Any, workspace: Workspace, name: str) -> _Person:
    """Read a user object, see https://docs.slack.dev/reference/objects/user-object."""
    profile = user.get("profile") or {}
    names = (profile.get("display_name"), user.get("real_name"), profile.get("real_name"), user.get("name"))
    admin = any(user.get(each) for each in ("is_admin", "is_owner", "is_primary_owner"))
    return _Person(
        name=next((each for each in names if each), name or "someone"),
        admin=admin and user.get("team_id", workspace.team) == workspace.team,  # else they are one elsewhere
        guest=bool(user.get("is_restricted") or user.get("is_ultra_restricted") or _visits(user, workspace)),
        external=_is_external(user, workspace),
        bot=bool(user.get("is_bot")),
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
    """Tell whether a person of the organisation is only in other workspaces of it."""
    teams = _organisation(user).get("teams") or ()
    return bool(teams) and workspace.team not in teams


def _organisation(user: Any) -> Mapping[str, Any]:
    return user.get("enterprise_user") or {}


def _by_user(groups: Any) -> Groups:
    found: dict[str, list[str]] = {}
    for group in groups:
        for user in group.get("users") or ():
            found.setdefault(user, []).append(group["id"])
    return {user: tuple(sorted(ids)) for user, ids in found.items()}
