from __future__ import annotations

import socket
from pathlib import Path

import pytest

from bot import app
from bot.errors import SettingError, StoreError
from bot.settings import Settings
from bot.studio import Studio


async def test_a_start_that_fails_gives_the_port_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    async def fail(studio: Studio) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(Studio, "start", fail)
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
