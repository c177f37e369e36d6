from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from bot import app
from bot.errors import SettingError, StoreError
from bot.lifecycle import Lifecycle
from bot.surfaces import Settings
from tests.virtual import virtually


async def test_a_start_that_fails_gives_the_port_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    async def fail(lifecycle: Lifecycle) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(Lifecycle, "start", fail)
    monkeypatch.setattr(app.telemetry, "set_up", lambda settings: None)
    settings = Settings(data_dir=tmp_path, model=("memory",), web_host="127.0.0.1", web_port=port)
    with pytest.raises(StoreError) as caught:
        await app.run(settings)  # `caught` keeps the frames, and so the server, alive
    assert caught.value
    socket.create_server(("127.0.0.1", port)).close()


async def test_a_start_that_could_paint_nothing_ends_before_anything_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.telemetry, "set_up", lambda settings: None)
    model = tmp_path / "mine"
    model.mkdir()
    settings = Settings(data_dir=tmp_path / "data", model=(str(model),), device="cpu", web_port=0)
    with pytest.raises(SettingError, match=r"has no model_index\.json"):
        await app.run(settings)
    assert not (tmp_path / "data").exists()


class Unsteady:
    """A surface that breaks a few times, as a database that is away at its start makes it."""

    name = "unsteady"

    def __init__(self, breaks: int) -> None:
        self.breaks = breaks
        self.began: list[float] = []

    async def run(self) -> None:
        self.began.append(asyncio.get_running_loop().time())
        if len(self.began) <= self.breaks:
            raise ExceptionGroup("tasks", [StoreError("The disk is full.")])


def test_a_surface_that_breaks_at_its_start_is_begun_anew() -> None:
    surface: Any = Unsteady(9)
    virtually(app._serve(surface))

    assert surface.began[:4] == [0.0, 5.0, 15.0, 35.0]
    assert len(surface.began) == 10 and surface.began[-1] - surface.began[-2] == app.LONGEST_DELAY


def test_a_surface_that_gives_up_is_left() -> None:
    surface: Any = Unsteady(0)
    virtually(app._serve(surface))

    assert surface.began == [0.0]
