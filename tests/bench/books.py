"""How fast the books are: admissions and ends of many people at once, on an SQLite file."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Coroutine, Iterable
from typing import Any

from bot.models import State
from bot.store import Store
from tests.examples import a_job, a_tier

JOBS = 3000
PEOPLE = 200


def figures() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(f"sqlite:///{folder}/easel.db"))


async def _measure(url: str) -> dict[str, Any]:
    store = await Store.open(url)
    jobs = [a_job(user=str(number % PEOPLE), estimate=1.0) for number in range(JOBS)]
    admissions = await _rate(store.admit(job, tier=a_tier(3600)) for job in jobs)
    ends = await _rate(store.end(job.id, State.RENDERED, device_seconds=0.5) for job in jobs)
    await store.close()
    return {"books: admissions/s": admissions, "books: ends/s": ends}


async def _rate(work: Iterable[Coroutine[Any, Any, Any]]) -> float:
    """How many are done in a second, all asked for at once."""
    start = time.perf_counter()
    done = await asyncio.gather(*work)
    return len(done) / (time.perf_counter() - start)
