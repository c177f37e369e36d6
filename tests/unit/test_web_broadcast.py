"""The hub: every open page hears the newest of each job, and a slow one holds nobody up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from bot.adapters.web.broadcast import REMEMBERED, Broadcast
from bot.messages.types import Card
from bot.models import Job, Member, Origin
from engine.types import GenerationRequest

ANA = Member(tenant="web:local", id="web:ana", name="Ana")
BEN = Member(tenant="web:local", id="web:ben", name="Ben")


def job(id: str, *, private: bool = False) -> Job:
    origin = Origin(surface="web", member=ANA, channel="studio", event=id, private=private)
    request = GenerationRequest(prompt="a fox", seed=7)
    return Job(id=id, origin=origin, request=request, prompt="a fox", created=datetime.now(UTC))


def card(id: str, step: int) -> Card:
    return Card(kind="painting", job=id, title=f"step {step}")


async def test_a_slow_page_gets_the_newest_card_of_each_job_in_the_order_of_change() -> None:
    hub = Broadcast()
    page = hub.open(ANA, hub.mark())
    for step in range(1000):
        hub.publish(job("a"), card("a", step))
        hub.publish(job("b"), card("b", step))
    hub.publish(job("a"), card("a", 1000))

    news = await page.news(1)

    assert [change.card.title for change in news.changes] == ["step 999", "step 1000"]
    assert news.line and not news.reload


async def test_a_page_that_holds_too_many_jobs_is_told_to_start_over() -> None:
    hub = Broadcast()
    page = hub.open(ANA, hub.mark())
    for number in range(REMEMBERED + 1):
        hub.publish(job(f"{number}"), card(f"{number}", 0))

    news = await page.news(1)

    assert news.reload and not news.changes


async def test_a_page_hears_what_changed_after_its_mark() -> None:
    hub = Broadcast()
    hub.publish(job("before"), card("before", 1))
    mark = hub.mark()
    hub.publish(job("after"), card("after", 1))

    news = await hub.open(ANA, mark).news(1)

    assert [change.job.id for change in news.changes] == ["after"]


async def test_the_mark_of_a_change_means_that_everything_up_to_it_was_heard() -> None:
    hub = Broadcast()
    hub.publish(job("a"), card("a", 1))
    hub.publish(job("b"), card("b", 1))
    first, _ = (await hub.open(ANA, hub.mark(0)).news(1)).changes

    again = await hub.open(ANA, hub.mark(first.number)).news(1)

    assert [change.job.id for change in again.changes] == ["b"]


async def test_a_mark_from_an_earlier_run_or_too_far_back_or_from_nowhere_starts_over() -> None:
    hub, earlier = Broadcast(), Broadcast()
    start = hub.mark()
    for number in range(REMEMBERED + 2):
        hub.publish(job(f"{number}"), card(f"{number}", 0))

    for mark in (
        earlier.mark(),
        start,
        hub.mark(10**9),
        "",
        "nonsense",
        f"{start.partition('-')[0]}-x",
        f"{start.partition('-')[0]}-{'9' * 5000}",
    ):
        assert (await hub.open(ANA, mark).news(1)).reload, mark


async def test_private_jobs_are_told_to_their_owner_alone_but_the_line_moves_for_all() -> None:
    hub = Broadcast()
    owner, other = hub.open(ANA, hub.mark()), hub.open(BEN, hub.mark())
    stranger = hub.open(replace(ANA, tenant="discord:1"), hub.mark())
    hub.publish(job("a", private=True), card("a", 1))

    assert len((await owner.news(1)).changes) == 1
    for page in (other, stranger):
        news = await page.news(1)
        assert not news.changes and news.line


async def test_a_page_that_left_gets_nothing_and_a_closed_one_wakes_up() -> None:
    hub = Broadcast()
    gone, there = hub.open(ANA, hub.mark()), hub.open(ANA, hub.mark())
    hub.leave(gone)
    hub.publish(job("a"), card("a", 1))
    hub.close()

    assert not (await gone.news(0)).changes
    assert (await there.news(60)).changes and there.closed and not gone.closed
