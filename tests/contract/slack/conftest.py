"""The real adapter on the real studio, connected to the Slack that runs on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.adapters.slack.manifest import manifest
from tests.contract.slack import wire as server
from tests.contract.slack.api import PATIENCE
from tests.contract.slack.house import House, rooms
from tests.contract.slack.wire import Wire

Opens = Callable[..., Any]


@pytest.fixture
async def slack() -> AsyncIterator[Wire]:
    """The loopback Slack; what it had to refuse fails the test."""
    async with server.served(manifest()) as wire:
        yield wire
    assert wire.problems == []


@pytest.fixture
def opened(tmp_path: Path, slack: Wire, monkeypatch: pytest.MonkeyPatch) -> Opens:
    """Opens the studio on this test's folder, as often as it likes: `async with opened(...) as house`."""
    monkeypatch.setattr("bot.lifecycle.LAST_WORDS", 0.5)  # what still paints when a test ends is nobody's

    @asynccontextmanager
    async def open_house(**changes: Any) -> AsyncIterator[House]:
        async with rooms(tmp_path, slack, **changes) as house:
            async with asyncio.timeout(PATIENCE):
                while not (slack.connections or house.adapter.port):  # noqa: ASYNC110 the port is not announced
                    await asyncio.sleep(0.01)
            if not house.settings.slack_app_token:
                slack.request_url = f"http://127.0.0.1:{house.adapter.port}/slack/events"
            yield house

    return open_house


@pytest.fixture
async def house(opened: Opens) -> AsyncIterator[House]:
    async with opened() as house:
        yield house
