"""A life of the books, from the first request to the last deletion, that can be killed at any point.

A point is before each statement, before each commit, and after each call that has returned. Every call may be
repeated: whoever was killed goes through the whole life again.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections import Counter
from collections.abc import Awaitable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from sqlalchemy import Engine, event

from bot.models import Allowance, Budget, Job, State, StoredPicture, Tier
from bot.store import LinkRefused, Store
from tests.databases import unfinished
from tests.examples import a_job, a_line, a_member, a_tier

T = TypeVar("T")

ADA, BEN = a_member("ada").id, a_member("ben").id
TIER = a_tier(allowances=tuple(Allowance(seconds=20, per="month", rolling=each) for each in (True, False)))
BUDGET = Budget(account="budget:house", name="House", allowance=Allowance(seconds=90, per="month"))
OTHERS = (Allowance(seconds=1, per="week"),)  # the period of another tier
PICTURE = StoredPicture(index=0, blob="b.png", seed=1, width=8, height=8)

points = itertools.count(1)
fatal = 0  # the point at which this process is killed; 0: none


def point(*_: Any) -> None:
    if next(points) == fatal:
        os.kill(os.getpid(), signal.SIGKILL)


async def did(work: Awaitable[T]) -> T:
    result = await work
    point()
    return result


async def asked(store: Store, event: str, user: str, tier: Tier = TIER, **more: Any) -> Job:
    job = a_job(event=event, user=user, **more)
    return (await did(store.admit(job, tier=tier, budgets=[BUDGET], periods=OTHERS)))[0]


async def live(store: Store) -> None:
    """Everything that moves seconds, in an order that uses allowances, budgets and gifts."""
    done, failed = await asked(store, "done", "ada"), await asked(store, "failed", "ben")
    await did(store.started(done.id))
    await did(store.add_picture(done.id, PICTURE))
    await did(store.end(done.id, State.RENDERED, device_seconds=5.0))
    await did(store.end(failed.id, State.FAILED, device_seconds=5.0, reason="It broke.", line=a_line("end")))
    await did(store.gift(BEN, 30, a_line("gift"), "gift"))
    await asked(store, "large", "ben", estimate=19.0)
    paid = await asked(store, "paid", "ben", estimate=10.0)  # by the gift
    free = await asked(store, "free", "ben", relaxed=True)
    with suppress(LinkRefused):  # linked already
        await did(store.link(await did(store.link_code(ADA)), BEN))
    await did(store.end(paid.id, State.RENDERED, device_seconds=4.0))
    await did(store.end(free.id, State.RENDERED, device_seconds=4.0))
    await did(store.reset(ADA, a_line("reset"), "reset"))
    await asked(store, "last", "ada", a_tier(allowances=()), estimate=3.0)
    await did(store.delete(done.id, a_line("delete")))
    await did(store.delivered(done.id, State.DELETED))


async def tell(store: Store) -> dict[str, Any]:
    """What a life comes to, without ids and times."""
    jobs = await store._jobs()
    names = {job.id: job.origin.event for job in jobs}
    lines = Counter([(each.kind, names.get(each.job or ""), each.seconds) async for each in store.lines()])
    balances = [(each.name, each.cap, each.used) for each in await store.balances(ADA, TIER, [BUDGET])]
    living = sorted(job.origin.event for job in await unfinished(store))
    return {
        "check": await store.check(),
        "jobs": sorted((j.origin.event, j.state, j.device_seconds, j.account, len(j.pictures)) for j in jobs),
        "lines": sorted(map(str, lines.items())),
        "balances": balances,
        "unfinished": living,
        "audit": [line.by for line in await store.audit()],
    }


async def _whole(url: str) -> dict[str, Any]:
    store = await Store.open(url)
    await live(store)
    told = await tell(store)
    await store.close()
    return told


def run(url: str, killed_at: int, answer: Connection) -> None:
    """In a process of its own: live, and say what it came to and how many points that had."""
    global fatal
    fatal = killed_at
    event.listen(Engine, "before_cursor_execute", point)
    event.listen(Engine, "commit", point)
    told = asyncio.run(_whole(url))
    answer.send((told, next(points) - 1))
