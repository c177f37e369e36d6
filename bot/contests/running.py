"""Where entries for a contest are taken at this moment, for whoever draws cards."""

from __future__ import annotations

from collections.abc import Iterable

from bot.models import Contest, Job


class OpenContests:
    """The contests that take entries, by their places."""

    def __init__(self) -> None:
        self._channels: dict[str, str] = {}

    def set(self, contests: Iterable[Contest]) -> None:
        """Replace all by these, as far as they take entries."""
        self._channels = {each.tenant: each.channel for each in contests if each.phase == "entries"}

    def takes(self, job: Job) -> bool:
        """Tell whether a contest runs that the job's person may enter it in."""
        channel = self._channels.get(job.origin.member.tenant)
        return channel is not None and job.is_open((channel,))
