"""Build a job's card as it is at this moment, for the person who looks at it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.accounts.access import Access
from bot.actions import Whose
from bot.contests.running import OpenContests
from bot.i18n.speech import Speech
from bot.jobs.covers import Covers
from bot.jobs.holds import Holds
from bot.jobs.live import LiveJobs
from bot.jobs.visibility import Visibility
from bot.messages import job_cards
from bot.messages.types import ANYTHING, Card, May
from bot.models import Job, Member, State

LONG_WAIT = 60.0  # seconds after which people have turned to something else, and are told of a failure too


def is_news(job: Job) -> bool:
    """Tell whether the person is told of a job's end by a new message; private ones are edited in place."""
    late = job.state is State.FAILED and job.seconds >= LONG_WAIT
    return (job.state is State.RENDERED or late) and not (job.origin.private or job.hidden)


@dataclass(eq=False)
class JobCards:
    """Adds what only memory knows: the queue position, the steps, and who may press which button."""

    _lives: LiveJobs
    _holds: Holds
    _access: Access
    _visibility: Visibility
    _speech: Speech
    _covers: Covers
    _contests: OpenContests

    def card(self, job: Job, may: May = ANYTHING) -> Card:
        """Return the job's card in the language of its place; `may`: what the person who sees it may do."""
        return self._speech.said(self.present(job, may), job.origin)

    async def own(self, job: Job) -> Card:
        """Return the card of a job's own message, for the person who asked for it. Raises StoreError.

        It names them where its end is news.
        """
        if not job.state.ended:
            return self.card(job)
        rules = await self._access.rules(job.origin.member)
        card = self.card(job, May(tasks=self._access.tasks_of(rules)))
        if not is_news(job):
            return card
        return replace(card, asker=job.origin.member.name, mentions=not rules.preferences().silent)

    async def shown(self, job: Job, member: Member) -> Card:
        """Return the job's card for one person. Raises StoreError."""
        return self.present(job, await self.may(job, member))

    async def may(self, job: Job, member: Member) -> May:
        """Return what the member may do with the job. Raises StoreError."""
        who: set[Whose] = {"anyone"}
        who |= {"owner"} if await self._visibility.owns(job, member) else set()
        who |= {"moderator"} if (await self._access.rules(member)).moderates(job) else set()
        tasks, enters = await self._access.tasks(member), self._contests.takes(job)
        return May(tasks=tasks, who=frozenset(who), enters=enters)

    def present(self, job: Job, may: May = ANYTHING) -> Card:
        """Return the job's card in English."""
        card = self._drawn(job, replace(may, enters=may.enters and self._contests.takes(job)))
        return replace(card, spoiler=True) if card.pictures and self._covers.covered(job) else card

    def _drawn(self, job: Job, may: May) -> Card:
        life = self._lives.get(job.id)
        job = life.job if life else job
        match job.state:
            case State.QUEUED:
                held = self._holds.is_held(job)
                position = life.position if life else None
                loading = life.loading if life else None
                control = life.control if life else b""
                return job_cards.waiting(
                    job, position, may, held=held and life is not None, loading=loading, control=control
                )
            case State.RUNNING:
                progress, left = (life.progress, life.left) if life else (None, None)
                loading, control = (life.loading, life.control) if life else (None, b"")
                return job_cards.painting(job, progress, left, may, loading, control=control)
            case State.RENDERED:
                return job_cards.done(job, may)
            case State.FAILED:
                return job_cards.failed(job, may)
            case State.CANCELLED:
                return job_cards.cancelled(job, may)
            case State.DELETED:
                return job_cards.deleted(job)
