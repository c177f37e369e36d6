"""A clock that tests turn, and a store that goes by it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from bot.store import Store


class Hand:
    """A clock turned by hand."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def clock(request: pytest.FixtureRequest) -> Hand:
    """A clock that shows the module's `NOW` at first."""
    return Hand(getattr(request.module, "NOW", datetime(2026, 3, 1, 12, tzinfo=UTC)))


@pytest.fixture
async def store(database_url: str, clock: Hand) -> AsyncIterator[Store]:
    """A store whose ledger adds up at the end of the test."""
    store = await Store.open(database_url, clock=clock)
    yield store
    assert await store.check() == "ok"
    await store.close()
