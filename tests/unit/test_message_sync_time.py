"""When messages are sent: in virtual time, so that every second is exact and none is waited for."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from bot.adapters.base import MessageRef
from bot.errors import MessageGone, StoreError, TryLater, Unreachable
from bot.jobs import message_sync as module
from bot.jobs.message_sync import GRACE, LATE, LONGEST_DELAY, LONGEST_EDIT, POST_GRACE, MessageSync
from bot.messages.types import Card
from bot.models import Job, State
from tests.examples import a_job
from tests.virtual import virtually

JOB = replace(a_job(), id="abc", origin=replace(a_job().origin, surface="test"))
ENDED = replace(JOB, state=State.FAILED)


@dataclass
class Trouble:
    """What becomes of one sending: it takes so long, and then fails."""

    error: Exception | None = None
    takes: float = 0.0


class Surface:
    """Notes when what was sent. `plan` holds the troubles of the next sendings."""

    name = "test"

    def __init__(self, edit_interval: float = 2.0) -> None:
        self.edit_interval = edit_interval
        self.plan: list[Trouble] = []
        self.tried: list[tuple[float, str, str]] = []
        self.sent: list[tuple[float, str]] = []
        self.cancelled: list[str] = []

    async def run(self) -> None:
        raise NotImplementedError

    async def post(self, job: Job, card: Card) -> MessageRef:
        return await self._send("post", card)

    async def edit(self, job: Job, ref: MessageRef, card: Card) -> MessageRef:
        return await self._send("edit", card)

    async def adult(self, job: Job) -> bool:
        return False

    async def _send(self, how: str, card: Card) -> MessageRef:
        loop = asyncio.get_running_loop()
        self.tried.append((loop.time(), how, card.title))
        trouble = self.plan.pop(0) if self.plan else Trouble()
        try:
            await asyncio.sleep(trouble.takes)
        except asyncio.CancelledError:
            self.cancelled.append(card.title)
            raise
        if trouble.error:
            raise trouble.error
        self.sent.append((loop.time(), card.title))
        return {"key": "m"}

    @property
    def titles(self) -> list[str]:
        return [title for _, title in self.sent]


class Books:
    """What message sync writes down. `plan` holds what the next writings raise."""

    def __init__(self) -> None:
        self.refs: list[MessageRef] = []
        self.ends: list[tuple[float, State, str]] = []
        self.hidden: list[str] = []
        self.plan: list[Exception] = []
        self.takes = 0.0  # seconds to write an end down

    def _trouble(self) -> None:
        if self.plan:
            raise self.plan.pop(0)

    async def message(self, id: str, ref: MessageRef) -> None:
        self._trouble()
        self.refs.append(ref)

    async def delivered(self, id: str, state: State, *, reason: str = "") -> None:
        await asyncio.sleep(self.takes)
        self._trouble()
        self.ends.append((asyncio.get_running_loop().time(), state, reason))

    async def hide_jobs(self, ids: list[str]) -> list[str]:
        self._trouble()
        self.hidden += ids
        return ids


@dataclass
class Round:
    """Message sync with everything around it."""

    surface: Surface
    books: Books
    sync: MessageSync

    def show(self, job: Job = JOB, deaths: int = 0) -> None:
        self.sync.show(replace(job, deaths=deaths))

    @property
    def running(self) -> int:
        return len(self.sync._tasks)


async def draw(job: Job) -> Card:
    return Card(kind="text", title=f"{job.state.value} {job.deaths}")


def played(play: Callable[[Round], Awaitable[None]], edit_interval: float = 2.0) -> Round:
    """The round after a play; what is still to come after it has come."""

    async def whole() -> Round:
        surface, books = Surface(edit_interval), Books()
        store: Any = books
        sync = MessageSync(store, draw, {surface.name: surface})
        round = Round(surface, books, sync)
        await play(round)
        await asyncio.sleep(1e6)
        return round

    return virtually(whole())


# ---- progress


def test_progress_is_sent_as_often_as_the_surface_allows() -> None:
    async def play(round: Round) -> None:
        for number in range(20):
            round.show(deaths=number)
            await asyncio.sleep(0.5)

    sent = played(play).surface.sent

    assert [at for at, _ in sent] == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert sent[-1][1] == "queued 19", "the newest card is the last"


def test_a_card_that_looks_the_same_is_not_sent_again() -> None:
    async def play(round: Round) -> None:
        for _ in range(5):
            round.show()
            await asyncio.sleep(10)

    assert played(play).surface.titles == ["queued 0"]


def test_where_a_message_stands_is_written_down_once() -> None:
    async def play(round: Round) -> None:
        for number in range(3):
            round.show(deaths=number)
            await asyncio.sleep(10)

    done = played(play)
    assert done.surface.titles == ["queued 0", "queued 1", "queued 2"]
    assert done.books.refs == [{"key": "m"}]


def test_what_changes_while_an_end_is_written_down_is_shown_too() -> None:
    async def play(round: Round) -> None:
        round.books.takes = 1.0
        round.show(ENDED)
        await asyncio.sleep(0.5)
        round.show(replace(ENDED, state=State.DELETED))

    done = played(play)
    assert done.surface.titles == [f"{ENDED.state.value} 0", "deleted 0"]
    assert [state for _, state, _ in done.books.ends] == [ENDED.state, State.DELETED]
    assert done.running == 0


def test_anew_sends_a_card_that_looks_the_same() -> None:
    async def play(round: Round) -> None:
        round.show()
        await asyncio.sleep(10)
        round.sync.show(JOB, anew=True)

    assert played(play).surface.titles == ["queued 0", "queued 0"]


def test_an_end_does_not_wait_for_the_interval() -> None:
    async def play(round: Round) -> None:
        round.show()
        await asyncio.sleep(1)
        round.show(ENDED)

    round = played(play, edit_interval=3600)

    assert round.surface.sent == [(0.0, "queued 0"), (1.0, "failed 0")]
    assert round.books.ends == [(1.0, State.FAILED, "")] and round.running == 0


def test_a_surface_that_is_off_gets_nothing() -> None:
    async def play(round: Round) -> None:
        round.show(replace(ENDED, origin=replace(JOB.origin, surface="off")))

    round = played(play)

    assert (round.surface.tried, round.books.ends, round.running) == ([], [], 0)


# ---- an end is not held by progress


@pytest.mark.parametrize("takes", [25.0, 1e5])
def test_an_end_overtakes_an_edit_under_way(takes: float) -> None:
    """discord.py tries a 5xx again for 25 s inside the call."""

    async def play(round: Round) -> None:
        round.show()
        await asyncio.sleep(10)
        round.surface.plan = [Trouble(TryLater("503"), takes)]
        round.show(deaths=1)
        await asyncio.sleep(1)
        round.show(ENDED)

    round = played(play)

    assert round.surface.cancelled == ["queued 1"]
    assert round.books.ends[0][0] == 11.0 + GRACE
    assert round.surface.sent[1] == (11.0 + GRACE, "failed 0")


def test_an_edit_that_is_nearly_done_is_let_finish() -> None:
    async def play(round: Round) -> None:
        round.show()
        await asyncio.sleep(10)
        round.surface.plan = [Trouble(takes=GRACE / 2)]
        round.show(deaths=1)
        await asyncio.sleep(0)
        round.show(ENDED)

    round = played(play)

    assert round.surface.cancelled == []
    assert round.surface.titles == ["queued 0", "queued 1", "failed 0"], "and the end is sent once"


def test_what_was_overtaken_may_arrive_late_so_the_end_is_sent_once_more() -> None:
    async def play(round: Round) -> None:
        round.show()
        await asyncio.sleep(10)
        round.surface.plan = [Trouble(takes=100)]
        round.show(deaths=1)
        await asyncio.sleep(0)
        round.show(ENDED)

    round = played(play)

    shown = 10.0 + GRACE
    assert round.surface.sent[1:] == [(shown, "failed 0"), (shown + LATE, "failed 0")]
    assert round.running == 0


def test_an_edit_of_a_living_job_takes_no_longer_than_others_can_wait() -> None:
    """What a channel allows is shared: one job's edit would hold another's end."""

    async def play(round: Round) -> None:
        round.show()
        await asyncio.sleep(10)
        round.surface.plan = [Trouble(takes=1e5)]
        round.show(deaths=1)

    round = played(play)

    assert round.surface.cancelled == ["queued 1"]
    assert 10.0 + LONGEST_EDIT < round.surface.sent[1][0] <= 10.0 + LONGEST_EDIT + 1.0
    assert round.surface.titles == ["queued 0", "queued 1"], "it is tried again"


def test_a_first_message_may_take_long_and_is_overtaken_after_a_while() -> None:
    async def play(round: Round) -> None:
        round.surface.plan = [Trouble(takes=1e4)]
        round.show()
        await asyncio.sleep(100)
        assert round.surface.cancelled == []
        round.show(ENDED)

    round = played(play)

    assert round.surface.cancelled == ["queued 0"]
    assert round.surface.tried[1] == (100.0 + POST_GRACE, "post", "failed 0")


def test_an_end_does_not_wait_for_the_pause_after_a_failed_edit() -> None:
    async def play(round: Round) -> None:
        round.show()
        await asyncio.sleep(10)
        round.surface.plan = [Trouble(TryLater("503", after=1.0)) for _ in range(20)]
        round.show(deaths=1)
        await asyncio.sleep(30)  # by now it is tried every five seconds
        round.surface.plan = []
        round.show(ENDED)

    assert played(play).books.ends[0][0] <= 41.0


# ---- what the surface asks for


@pytest.mark.parametrize("after", [7.0, 300.0])
@pytest.mark.parametrize("first", [JOB, ENDED])
def test_nothing_is_sent_before_the_surface_allows_it(first: Job, after: float) -> None:
    async def play(round: Round) -> None:
        round.surface.plan = [Trouble(TryLater("rate limited", after=after))]
        round.show(first)
        await asyncio.sleep(1)
        round.show(ENDED, deaths=1)

    tried = played(play).surface.tried

    assert [at for at, _, _ in tried] == [0.0, after]
    assert tried[1][2] == "failed 1"


def test_each_refusal_s_own_pause_is_kept() -> None:
    async def play(round: Round) -> None:
        round.surface.plan = [Trouble(TryLater("rate limited", after=after)) for after in (30.0, 5.0, 90.0)]
        round.show(ENDED)

    assert [at for at, _, _ in played(play).surface.tried] == [0.0, 30.0, 35.0, 125.0]


def test_attempts_at_an_end_come_ever_more_rarely_and_never_cease() -> None:
    async def play(round: Round) -> None:
        round.surface.plan = [Trouble(StoreError("full")) for _ in range(30)]
        round.show(ENDED)

    round = played(play)
    times = [at for at, _, _ in round.surface.tried]
    pauses = [after - before for before, after in itertools.pairwise(times)]

    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]
    assert pauses == sorted(pauses) and pauses[-1] == LONGEST_DELAY
    assert round.surface.titles == ["failed 0"]


def test_attempts_at_progress_are_never_far_apart() -> None:
    async def play(round: Round) -> None:
        round.show()
        await asyncio.sleep(10)
        round.surface.plan = [Trouble(RuntimeError("a bug")) for _ in range(30)]
        round.show(deaths=1)

    times = [at for at, _, _ in played(play).surface.tried][1:]
    pauses = [after - before for before, after in itertools.pairwise(times)]

    assert max(pauses) == module.PROGRESS_DELAY


def test_after_a_success_the_pauses_begin_anew() -> None:
    async def play(round: Round) -> None:
        round.surface.plan = [Trouble(StoreError("full")) for _ in range(8)]
        round.show()
        await asyncio.sleep(1000)
        round.surface.plan = [Trouble(StoreError("full"))]
        round.show(ENDED)

    tried = played(play).surface.tried

    assert tried[-1][0] - tried[-2][0] == 0.5


# ---- what can never be shown


def test_what_is_unreachable_is_written_down_and_not_tried_again() -> None:
    async def play(round: Round) -> None:
        round.surface.plan = [Trouble(Unreachable("the channel is gone"))]
        round.show()
        await asyncio.sleep(10)
        round.show(deaths=1)
        await asyncio.sleep(10)
        round.show(ENDED)

    round = played(play)

    assert len(round.surface.tried) == 1 and round.running == 0 and round.books.hidden == []
    assert round.books.ends == [(20.0, State.FAILED, "It could not be delivered: the channel is gone")]


def test_why_it_was_cancelled_is_not_written_over() -> None:
    async def play(round: Round) -> None:
        round.surface.plan = [Trouble(Unreachable("the channel is gone"))]
        round.show(replace(JOB, state=State.CANCELLED, reason="Easel was removed from this server."))

    assert played(play).books.ends == [(0.0, State.CANCELLED, "")]


def test_a_job_whose_message_was_deleted_is_hidden() -> None:
    async def play(round: Round) -> None:
        round.show()
        await asyncio.sleep(10)
        round.surface.plan = [Trouble(MessageGone("its message was deleted."))]
        round.show(deaths=1)

    round = played(play)

    assert round.books.hidden == ["abc"] and round.books.ends == []


def test_hiding_that_cannot_be_saved_is_tried_again() -> None:
    async def play(round: Round) -> None:
        round.show()
        await asyncio.sleep(10)
        round.surface.plan = [Trouble(MessageGone("its message was deleted."))]
        round.books.plan = [StoreError("full"), StoreError("full")]
        round.show(deaths=1)

    assert played(play).books.hidden == ["abc"]


def test_an_end_that_could_not_be_written_down_is_written_later_and_sent_once() -> None:
    async def play(round: Round) -> None:
        round.show()
        await asyncio.sleep(10)
        round.books.plan = [StoreError("full"), StoreError("full")]
        round.show(ENDED)

    round = played(play)

    assert round.surface.titles == ["queued 0", "failed 0"]
    assert [state for _, state, _ in round.books.ends] == [State.FAILED]


# ---- stopping


def test_stopping_waits_for_ends_alone_and_not_for_ever() -> None:
    async def play(round: Round) -> None:
        other = replace(JOB, id="other")
        round.surface.plan = [Trouble(takes=3.0), Trouble(takes=1e5)]
        round.show(ENDED)
        round.sync.show(other)
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        await round.sync.close(5.0)
        assert asyncio.get_running_loop().time() - began == 2.0

    assert played(play).surface.titles == ["failed 0"]


def test_stopping_gives_up_an_end_that_takes_too_long() -> None:
    async def play(round: Round) -> None:
        round.surface.plan = [Trouble(takes=1e5)]
        round.show(ENDED)
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        await round.sync.close(5.0)
        assert asyncio.get_running_loop().time() - began == 5.0

    assert played(play).books.ends == []


def test_an_end_that_comes_in_the_moment_an_edit_runs_out_of_time_is_shown_all_the_same() -> None:
    async def play(round: Round) -> None:
        round.show()
        await asyncio.sleep(10)
        round.surface.plan = [Trouble(takes=1e5)]
        asyncio.get_running_loop().call_at(10.0 + LONGEST_EDIT + 1e-9, round.show, ENDED)
        round.show(deaths=1)

    round = played(play)

    assert "failed 0" in round.surface.titles and len(round.books.ends) >= 1


def test_an_end_gives_an_edit_no_more_time_than_it_has() -> None:
    async def play(round: Round) -> None:
        round.show()
        await asyncio.sleep(10)
        round.surface.plan = [Trouble(takes=1e5)]
        round.show(deaths=1)
        await asyncio.sleep(LONGEST_EDIT - GRACE / 2)
        round.show(ENDED)

    assert played(play).books.ends[0][0] == 10.0 + LONGEST_EDIT
