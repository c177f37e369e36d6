"""Keeps each job's one message up to date: posted once, then edited, until its end was shown.

Where an end is news (`Card.asker`), and the surface can tell of it, the end is a message of its own. Its
reference is kept before the former message is taken away, so that a kill between the two loses neither.

Only the newest card is ever sent, so edits never queue. The message's reference is stored as soon as it is
known: after a restart the same message is edited. Between a post and that moment the adapter recognises a
repeated post by the job's id.

An end never waits behind progress. What is being sent of a living job when its end comes gets a moment, an
edit `LONGEST_EDIT` in any case, since it may hold what other jobs' ends need; then it is cancelled. What
was cancelled may still arrive late and cover the end, so that is then sent once more.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog

from bot import telemetry
from bot.adapters.base import ChatAdapter, MessageRef, Tells
from bot.errors import MessageGone, StoreError, TryLater, Unreachable
from bot.i18n.speech import translated
from bot.messages.job_cards import withheld
from bot.messages.types import Card
from bot.models import Job, State
from bot.store import Store

log = structlog.stdlib.get_logger(__name__)

LONGEST_DELAY = 60.0  # seconds between two attempts to show an end
PROGRESS_DELAY = 5.0  # the same while a job lives; its end waits only as long as the surface asked for
GRACE = 1.0  # seconds that an edit under way gets once the job has ended
POST_GRACE = 3.0  # the same for a first message: one that was cancelled must be looked for
LONGEST_EDIT = 5.0  # seconds that an edit of a living job may take
LATE = 3.0  # seconds after which a cancelled edit arrives no more


@dataclass(slots=True)
class _Parcel:
    """One job's message on its way."""

    job: Job
    ref: MessageRef | None
    saved: MessageRef | None  # the reference that the row has
    shown: Card | None = None
    lost: Unreachable | None = None  # why it can never be shown
    attempts: int = 0
    silence: float = 0.0  # seconds that even an end waits before the next attempt
    limit: asyncio.Timeout | None = None  # of what is being sent while the job lives
    overtaken: bool = False  # something was cancelled that may have reached the surface
    news: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class MessageSync:
    """One task for each message that is not at its end. `draw` makes a job's present card."""

    def __init__(
        self,
        store: Store,
        draw: Callable[[Job], Awaitable[Card]],
        adapters: Mapping[str, ChatAdapter],
    ) -> None:
        self._store = store
        self._draw = draw
        self._adapters = adapters
        self._parcels: dict[str, _Parcel] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def show(self, job: Job, *, anew: bool = False) -> None:
        """Show a changed job's card as soon as its message may be edited again, the end of a job at once.

        `anew`: also when its card has not changed.
        """
        if job.origin.surface not in self._adapters:
            return  # it stays undelivered until that surface is back
        parcel = self._parcels.get(job.id)
        if parcel is None:
            parcel = self._parcels[job.id] = _Parcel(job, job.message, job.message)
            self._tasks[job.id] = asyncio.create_task(self._carry(parcel), name=f"sync-{job.id}")
        parcel.job = job
        parcel.shown = None if anew else parcel.shown
        parcel.news.set()
        if job.state.ended and not parcel.ended.is_set():
            parcel.ended.set()
            _hasten(parcel)

    async def close(self, patience: float = 0.0) -> None:
        """Stop. Results not shown yet get `patience` seconds; the rest is shown after the next start."""
        owed = [self._tasks[id] for id, parcel in self._parcels.items() if parcel.ended.is_set()]
        if owed and patience:
            await asyncio.wait(owed, timeout=patience)
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(self, parcel: _Parcel) -> None:
        adapter = self._adapters[parcel.job.origin.surface]
        while True:
            await parcel.news.wait()
            parcel.news.clear()
            pause = await self._attempt(adapter, parcel)
            if pause is None and not parcel.news.is_set():
                del self._parcels[parcel.job.id], self._tasks[parcel.job.id]
                return
            await _rest(parcel, pause or 0.0)

    async def _attempt(self, adapter: ChatAdapter, parcel: _Parcel) -> float | None:
        """Show the newest card. Returns the seconds to wait before the next one, None after the end."""
        job = parcel.job
        try:
            if job.state.ended:
                await self._send(adapter, parcel, job)
            else:
                await self._send_living(adapter, parcel, job)
        except Unreachable as error:
            return await self._give_up(parcel, job, error)
        except TryLater as error:
            return self._later(parcel, job, error, least=error.after)
        except TimeoutError:
            parcel.overtaken = True
            return self._later(parcel, job, TryLater("it took too long"))
        except StoreError as error:
            return self._later(parcel, job, error)
        except Exception as error:
            log.exception("adapter failed", job_id=job.id, surface=adapter.name)
            return self._later(parcel, job, error)
        parcel.attempts, parcel.silence = 0, 0.0
        if job.state.ended:
            return self._once_more(parcel) if parcel.overtaken else None
        return adapter.edit_interval

    def _once_more(self, parcel: _Parcel) -> float:
        """Plan to show the end again, over what may have arrived after it."""
        parcel.overtaken, parcel.shown, parcel.silence = False, None, LATE
        parcel.news.set()
        return LATE

    async def _send_living(self, adapter: ChatAdapter, parcel: _Parcel, job: Job) -> None:
        """Show a job that lives. Raises TimeoutError when its end, or another's, may wait for that."""
        try:
            async with asyncio.timeout(LONGEST_EDIT if parcel.ref else None) as parcel.limit:
                await self._send(adapter, parcel, job)
        finally:
            parcel.limit = None

    async def _send(self, adapter: ChatAdapter, parcel: _Parcel, job: Job) -> None:
        if parcel.lost:
            raise parcel.lost
        card = await self._draw(job)
        if card.adult and not await adapter.adult(job):
            card = translated(withheld(card), card.language)
        if parcel.ref is None or card != parcel.shown:
            parcel.ref = await _shown(adapter, job, parcel.ref, card)
        parcel.shown = card
        if parcel.ref != parcel.saved:
            await self._store.message(job.id, parcel.ref)
            parcel.saved = parcel.ref
        if job.state.ended:
            if isinstance(adapter, Tells):
                await adapter.clear(job, parcel.ref, card)
            await self._store.delivered(job.id, job.state)

    def _later(self, parcel: _Parcel, job: Job, error: Exception, *, least: float = 0.0) -> float:
        parcel.attempts += 1
        longest = LONGEST_DELAY if job.state.ended else PROGRESS_DELAY
        delay = max(least, min(longest, 0.25 * 2.0 ** min(parcel.attempts, 12)))
        parcel.silence = delay if job.state.ended else least
        log.warning(
            "delivery is tried again", job_id=job.id, attempt=parcel.attempts, after=delay, cause=str(error)
        )
        telemetry.RETRIES.labels(job.origin.surface).inc()
        parcel.news.set()
        return delay

    async def _give_up(self, parcel: _Parcel, job: Job, error: Unreachable) -> float | None:
        """Record why nobody can be shown this job. One that still paints goes on, for the history."""
        reason = str(error)
        if not parcel.lost:
            log.warning("message cannot be delivered", job_id=job.id, cause=reason)
            parcel.lost = error
        parcel.silence = 0.0
        try:
            if isinstance(error, MessageGone):
                await self._store.hide_jobs([job.id])
            if not job.state.ended:
                return 0.0
            # Why it was cancelled says more than that this could not be shown.
            kept = job.state is State.CANCELLED and job.reason
            why = "" if kept else f"It could not be delivered: {reason}"
            await self._store.delivered(job.id, job.state, reason=why)
        except StoreError as error:
            return self._later(parcel, job, error)
        return None


async def _shown(adapter: ChatAdapter, job: Job, ref: MessageRef | None, card: Card) -> MessageRef:
    """Show a card in the way that it and the surface ask for; return the reference to its message."""
    if card.asker and isinstance(adapter, Tells):
        return await adapter.tell(job, ref, card)
    return await (adapter.edit(job, ref, card) if ref else adapter.post(job, card))


def _hasten(parcel: _Parcel) -> None:
    """Shorten the time limit of a message that is being sent, as the job has ended."""
    limit = parcel.limit
    if limit is None or limit.expired():
        return
    soon, before = asyncio.get_running_loop().time() + (GRACE if parcel.ref else POST_GRACE), limit.when()
    limit.reschedule(soon if before is None else min(soon, before))


async def _rest(parcel: _Parcel, seconds: float) -> None:
    """Wait before the next edit; the job's end waits only as long as it must."""
    await asyncio.sleep(parcel.silence)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds - parcel.silence):
            await parcel.ended.wait()
