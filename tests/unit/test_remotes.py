"""Settings and checks of models behind an API."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from bot import doctor, remotes
from bot.errors import SettingError
from bot.surfaces import Settings
from tests.image_server import KEY, image_server

GPT = "openai:https://api.openai.com/v1#gpt-image-2"


def settings(tmp_path: Path, **given: str) -> Settings:
    environ = {"DATA_DIR": str(tmp_path), **given}
    return Settings.load(env_file=tmp_path / "none", environ=environ)


def test_openai_s_key_goes_to_openai_alone_and_others_by_model_or_host(tmp_path: Path) -> None:
    found = settings(tmp_path, OPENAI_API_KEY="sk-one", MODEL_KEYS="Qwen-Image=k2, a.example.org = k3\nb=k4")
    keys = found.keys()
    assert keys.of("gpt-image-2", "api.openai.com") == "sk-one"
    assert keys.of("gpt-image-2", "proxy.example.org") == ""
    assert keys.of("qwen-image", "localhost") == "k2" and keys.of("x", "a.example.org") == "k3"
    assert keys.of("b", "") == "k4"
    assert {each.reveal() for each in found.secrets()} >= {"sk-one", "k2", "k3", "k4"}
    assert "k2" not in repr(found) and "sk-one" not in repr(found) and "k2" not in repr(keys)


def test_keys_that_cannot_be_read_are_told_without_repeating_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="names with keys") as told:
        settings(tmp_path, MODEL_KEYS="sk-alone").keys()
    assert "sk-alone" not in str(told.value)


async def test_doctor_says_whether_the_server_answers_to_its_key(tmp_path: Path) -> None:
    async with image_server("openai") as server:
        name = f"openai:{server.url}#gpt-image-2"

        async def found(**given: str) -> object:
            asked = settings(tmp_path, MODEL=name, **given)
            return await asyncio.to_thread(remotes.check, name, asked)

        good = await found(MODEL_KEYS=f"gpt-image-2={KEY}")
        assert good.ok and good.detail == "127.0.0.1 answers to its key"  # type: ignore[attr-defined]
        wrong = await found(MODEL_KEYS="gpt-image-2=sk-other-one")
        assert wrong.ok is False and "401" in wrong.detail  # type: ignore[attr-defined]
        assert "sk-other-one" not in wrong.detail  # type: ignore[attr-defined]
        missing = await found()
        assert missing.remedy == "Set OPENAI_API_KEY or MODEL_KEYS."  # type: ignore[attr-defined]
        name = f"openai:{server.url}#gpt-image-9"
        unknown = await found(MODEL_KEYS=f"127.0.0.1={KEY}")
        assert "has no gpt-image-9, but gpt-image-2" in unknown.detail  # type: ignore[attr-defined]
    gone = await found(MODEL_KEYS=f"127.0.0.1={KEY}")
    assert gone.ok is False and "cannot be reached" in gone.detail  # type: ignore[attr-defined]


async def test_easel_starts_without_a_device_where_every_model_is_behind_an_api(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_probe", lambda: pytest.fail("looked for torch"))
    monkeypatch.setattr(doctor, "_device_to_start_with", lambda wanted: pytest.fail("looked for a device"))
    await doctor.refuse_to_start(settings(tmp_path, MODEL=GPT))


async def test_easel_does_not_start_with_a_file_of_models_that_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "remote.toml"
    file.write_text("[gpt-image-2]\nprize = 1\n")
    with pytest.raises(SettingError, match="did you mean price"):
        await doctor.refuse_to_start(settings(tmp_path, MODEL=GPT, REMOTE_MODELS=str(file)))


def test_keys_never_reach_a_log_line(tmp_path: Path) -> None:
    from bot.telemetry import _SecretFormatter

    found = settings(tmp_path, MODEL_KEYS="qwen-image=sk-canary-0123456789")
    formatter = _SecretFormatter(found, [], colors=False)
    record = logging.LogRecord("x", logging.INFO, "x", 1, "sent sk-canary-0123456789", None, None)
    assert "canary" not in formatter.format(record)
