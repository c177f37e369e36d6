"""Whose pictures are covered until someone clicks: by channel, or by the roles of who asked."""

from __future__ import annotations

from bot.models import INSTANCE, Job, Policy


class Covers:
    """What administrators have set, in memory: a card is drawn without asking the store."""

    def __init__(self) -> None:
        self._places: dict[str, frozenset[str]] = {}

    def place(self, tenant: str, policy: Policy) -> None:
        """Keep what an administrator has set for a tenant."""
        self._places[tenant] = frozenset((*policy.spoiler_channels, *policy.spoiler_roles))

    def covered(self, job: Job) -> bool:
        """Tell whether a job's pictures are shown as spoilers."""
        origin = job.origin
        names = {origin.channel, *origin.member.roles}
        return any(
            not self._places.get(each, frozenset()).isdisjoint(names)
            for each in (INSTANCE, origin.member.tenant)
        )
