from __future__ import annotations

import asyncio
import json
import re
import socket
import socketserver
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from structlog.testing import capture_logs

from bot import app, doctor
from bot.adapters import discord, slack
from bot.adapters.web import doctor as web
from bot.admin import admin_socket
from bot.engines import open_engine
from bot.errors import SettingError, StoreInUse
from bot.findings import Finding, render
from bot.provenance import keys
from bot.settings import Secret
from bot.store import Store
from bot.surfaces import Settings
from engine.embedded import PIPELINE
from engine.errors import EngineError
from engine.pipelines import structure
from engine.profiles import fitted
from engine.workers import process
from tests.web import web_house

DISCORD = Secret("MTIzNDU2Nzg5MDEyMzQ1Njc4.GabcDe.aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789ab")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", web_port=0)


def but(settings: Settings, **changes: Any) -> Settings:
    return settings.model_copy(update=changes)


async def test_a_fresh_machine_is_sound(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10**11))
    findings = await doctor.examine(settings, env_file=tmp_path / ".env")
    assert [finding for finding in findings if finding.ok is False] == []
    by_name = {finding.name: finding for finding in findings}
    assert "torch" in by_name["Device"].detail
    assert by_name["Model easel-tiny"].ok is True
    assert by_name["Database"].ok is None
    assert not (tmp_path / "data").exists()


def fails(finding: Finding, says: str, remedy: str) -> bool:
    assert says in finding.detail
    assert remedy in finding.remedy
    return finding.ok is False


@pytest.mark.parametrize(
    ("wanted", "cuda", "mps", "ok"),
    [
        ("auto", [], False, True),
        ("cpu", [], False, True),
        ("cuda", [], False, False),
        ("cuda", ["A100"], False, True),
        ("cuda:0,cuda:1", ["A100"], False, False),
        ("cuda:0,cuda:1", ["A100", "A100"], False, True),
        ("mps", [], False, False),
        ("mps", [], True, True),
    ],
)
def test_the_device_must_be_there(
    monkeypatch: pytest.MonkeyPatch, wanted: str, cuda: list[str], mps: bool, ok: bool
) -> None:
    answer = json.dumps({"torch": "2.13.0", "cuda": cuda, "mps": mps})
    monkeypatch.setattr(doctor, "_PROBE", f"print({answer!r})")
    finding = doctor._device(wanted)
    assert finding.ok is ok
    assert ok or fails(finding, f"DEVICE={wanted}", "set DEVICE=auto")


@pytest.mark.parametrize(
    ("found", "says", "remedy"),
    [
        ({"cuda": ["A100"], "free": [0]}, "cuda:0 has 0.0 GB free (torch 2.13.0, A100)", "what else uses"),
        (
            {"cuda": [], "free": [], "error": "driver too old (found 11040)"},
            "too old (found 11040)",
            "newer one",
        ),
    ],
)
def test_a_card_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, Any], says: str, remedy: str
) -> None:
    answer = json.dumps({"torch": "2.13.0", "mps": False} | found)
    monkeypatch.setattr(doctor, "_PROBE", f"print({answer!r})")

    assert fails(doctor._device("cuda:0"), says, remedy)
    assert fails(doctor._device_to_start_with("cuda:0"), says, remedy)
    assert doctor._device("cuda:0", running=True).ok is bool(found["cuda"])


def test_the_probe_runs_here() -> None:
    found = doctor._probe()
    assert found and found["free"] == [] and found["error"] == "" and doctor._device("cpu").ok


def test_a_torch_that_does_not_import_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_PROBE", "raise ImportError('torch')")
    assert fails(doctor._device("auto"), "torch cannot be imported", "make install")


def test_a_model_that_does_not_exist_is_named() -> None:
    assert fails(doctor._model("easel-tny"), "easel-tiny", "Correct MODEL")


def test_a_model_of_the_hub_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert doctor._model("someone/some-model").ok is None


def test_a_package_that_a_model_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    installed: set[str] = set()
    monkeypatch.setattr(structure, "_installed", installed.__contains__)
    finding = doctor._model("qwen-image-edit")
    assert (finding.ok, finding.detail) == (False, "needs torchvision, which is not installed")
    assert finding.remedy == 'Run `pip install "easel[torchvision]"`, or choose another MODEL.'

    monkeypatch.delenv("HF_HUB_OFFLINE")
    installed.add("torchvision")
    assert doctor._model("qwen-image-edit").ok is None
    assert doctor._model("qwen-image").ok is None


def test_a_corrupt_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    (tmp_path / "unet.safetensors").write_bytes(b"\x80\x04pickle")
    assert fails(doctor._model(str(tmp_path)), "unet.safetensors", "Put the whole model there again")


async def test_a_database_in_use_is_described(settings: Settings) -> None:
    store = await Store.open(settings.database_url)
    finding = doctor._database(settings.database_url)
    assert finding.ok is True
    assert "SQLite 3." in finding.detail and "journal" in finding.detail
    await store.close()


async def test_books_that_do_not_add_up_are_found(settings: Settings) -> None:
    await (await Store.open(settings.database_url)).close()
    with sqlite3.connect(settings.data_dir / "easel.db") as connection:
        connection.execute("INSERT INTO allowances VALUES ('ada', 'gifts', 5, 10, NULL)")
    connection.close()
    assert fails(doctor._database(settings.database_url), "differs from its ledger", "doctor --rebuild")
    await doctor.rebuild(settings)
    assert doctor._database(settings.database_url).ok is True


async def test_the_books_are_not_rebuilt_while_easel_runs(settings: Settings) -> None:
    store = await Store.open(settings.database_url)
    with pytest.raises(StoreInUse):
        await doctor.rebuild(settings)
    await store.close()


def test_a_corrupt_database_is_found(settings: Settings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "easel.db").write_bytes(b"not a database" * 99)
    assert fails(doctor._database(settings.database_url), "is not a database", "backup")


def test_little_space_is_found(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10**8))
    assert fails(doctor._disk(settings.data_dir), "0.1 GB free", "2 GB are needed")


def test_a_folder_that_cannot_be_written_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert fails(doctor._disk(tmp_path / "file"), "cannot be written", "set DATA_DIR")


def test_tokens_are_judged_by_their_form_and_never_shown(settings: Settings) -> None:
    assert discord.examine(settings).ok is None
    invited = discord.examine(but(settings, discord_token=DISCORD))
    assert invited.ok is True and "client_id=123456789012345678&scope=bot+app" in invited.detail
    assert "client_id=123456789012345678&scope=applications.commands&integration_type=1" in invited.detail
    wrong = discord.examine(but(settings, discord_token=Secret("my-password")))
    assert fails(wrong, "is not a bot token", "three parts")
    assert "my-password" not in repr(wrong)


@pytest.mark.parametrize(
    ("bot", "app", "signing", "ok"),
    [
        ("", "", "", None),
        ("xoxb-1", "xapp-1", "", True),
        ("xoxb-1", "", "abc", True),
        ("xoxb-1", "", "", False),
        ("", "xapp-1", "", False),
        ("xoxp-1", "xapp-1", "", False),
        ("xoxb-1", "xoxb-1", "", False),
    ],
)
def test_slack_needs_its_tokens_together(
    settings: Settings, bot: str, app: str, signing: str, ok: bool | None
) -> None:
    finding = slack.examine(
        but(
            settings,
            slack_bot_token=Secret(bot),
            slack_app_token=Secret(app),
            slack_signing_secret=Secret(signing),
        )
    )
    assert finding.ok is ok
    assert bool(finding.remedy) is (ok is False)
    assert not bot or bot not in finding.detail


def test_a_port_in_use_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert fails(web.port("127.0.0.1", port), f"127.0.0.1:{port} cannot be used", "WEB_PORT")
    assert web.port("127.0.0.1", port).ok is True


def test_a_settings_file_that_others_can_read_is_found(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert doctor._env_file(path).ok is None
    path.write_text("")
    path.chmod(0o640)
    assert fails(doctor._env_file(path), "others", "chmod 600")
    path.chmod(0o600)
    assert doctor._env_file(path).ok is True


def test_the_administrator_s_password_is_found_and_never_said(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    path = settings.admin_password_file
    assert web.administrator(settings).ok is None
    path.write_text("hunter2")
    path.chmod(0o644)
    assert fails(web.administrator(settings), "others", f"chmod 600 {path}")
    path.chmod(0o600)
    found = web.administrator(settings)
    assert found.ok and str(path) in found.detail and "hunter2" not in found.detail
    given = web.administrator(but(settings, web_admin_password=Secret("hunter2")))
    assert given.ok and "WEB_ADMIN_PASSWORD" in given.detail and "hunter2" not in given.detail


def test_findings_are_rendered_for_people_and_for_programs() -> None:
    findings = [Finding("Disk", True, "9 GB free"), Finding("Web port", False, "in use", "Set WEB_PORT.")]
    assert render(findings).splitlines() == [
        "ok    Disk      9 GB free",
        "FAIL  Web port  in use",
        "                → Set WEB_PORT.",
    ]
    assert json.loads(render(findings, json=True))[1] == {
        "name": "Web port",
        "ok": False,
        "detail": "in use",
        "remedy": "Set WEB_PORT.",
    }


def test_slack_in_many_workspaces_needs_all_of_its_settings(tmp_path: Path) -> None:
    complete: dict[str, Any] = {
        "slack_client_id": "1.2",
        "slack_client_secret": Secret("secret"),
        "slack_token_keys": Secret("keys"),
        "slack_signing_secret": Secret("signing"),
        "slack_url": "https://easel.example.org",
    }
    assert slack.examine(Settings(data_dir=tmp_path, **complete)).ok
    for name in complete.keys() - {"slack_client_id"}:
        less = {key: value for key, value in complete.items() if key != name}
        finding = slack.examine(Settings(data_dir=tmp_path, **less))
        assert not finding.ok and name.upper() in finding.detail


async def test_tiers_that_cannot_be_read_are_named(settings: Settings, tmp_path: Path) -> None:
    assert doctor._tiers(settings).ok is True
    (tmp_path / "tiers.toml").write_text("[everyone")
    broken = but(settings, tiers_file=str(tmp_path / "tiers.toml"))
    assert fails(doctor._tiers(broken), "is not valid TOML", "TIERS_FILE")
    findings = await doctor.examine(broken, env_file=tmp_path / ".env")
    assert [each.name for each in findings if each.ok is False] == ["Tiers"]


async def test_the_easel_that_runs_here_is_asked_and_may_hold_the_port(tmp_path: Path) -> None:
    async with web_house(tmp_path) as house:
        port = house.adapter._socket.getsockname()[1]  # type: ignore[union-attr]
        settings = Settings(data_dir=tmp_path, web_port=port, model=("memory",), device="cpu")
        assert await doctor._ask_running(tmp_path) is None
        taken = await asyncio.to_thread(web.port, "127.0.0.1", port)
        assert fails(taken, "cannot be used", "another Easel?"), "it runs on other data"

        async with admin_socket.listening(house.easel, tmp_path):
            by_name = {each.name: each for each in await doctor.examine(settings)}

        assert by_name["Running Easel"].ok is True
        port_found = by_name["Web port"]
        assert port_found.ok is True and "is held by the Easel that runs here" in port_found.detail


async def test_what_is_wrong_with_the_easel_that_runs_is_said(tmp_path: Path) -> None:
    async with web_house(tmp_path, fault=lambda job: EngineError("the kernel is gone")) as house:
        ana = house.person("Ana")
        for number in range(3):
            await ana.send(f"a fox {number}")
        async with admin_socket.listening(house.easel, tmp_path), asyncio.timeout(30):
            while (said := doctor._running(await doctor._ask_running(tmp_path))).ok:
                pass  # asking waits by itself
        assert fails(said, "memory is out of service: the kernel is gone.", "Look at its log")


def test_another_program_on_the_port_is_found_although_easel_runs() -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as other:
        thread = threading.Thread(target=other.handle_request, daemon=True)
        thread.start()
        port = other.server_address[1]
        assert fails(web.port("127.0.0.1", port, ours=True), "cannot be used", "WEB_PORT")
        thread.join()


async def test_pictures_that_are_gone_or_damaged_are_found(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, model=("memory",))
    assert doctor._pictures(settings).ok is None
    async with web_house(tmp_path) as house:
        job = await house.painted(house.person("Ana"), "a fox --n 3")
        count = len(job.pictures)
        assert doctor._pictures(settings) == Finding("Pictures", True, f"{count} are there and whole")
        one, two, *_ = (tmp_path / "pictures" / p.blob[:2] / p.blob[2:4] / p.blob for p in job.pictures)
        one.unlink()
        two.write_bytes(two.read_bytes()[:-1])
        found = doctor._pictures(settings)
        assert fails(found, f"2 of {count} are missing or damaged", "from a backup")
        assert f"a missing picture of job {job.id}" in found.detail
        assert f"a damaged picture of job {job.id}" in found.detail
        by_name = {each.name for each in await doctor.examine(settings)}
        assert "Pictures" not in by_name, "only where it is asked for"


async def test_a_start_that_could_paint_nothing_stops_with_one_sentence(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_PROBE", _found(cuda=[]))
    with pytest.raises(SettingError, match=r"^Device: DEVICE=cuda, but there is no cuda .*driver"):
        await doctor.refuse_to_start(but(settings, device="cuda"))
    monkeypatch.setattr(doctor, "_PROBE", _found(cuda=["H100"]))
    await doctor.refuse_to_start(but(settings, device="cuda:0,cuda:1"))  # one of two is there
    with pytest.raises(SettingError, match="no cuda:7"):
        await doctor.refuse_to_start(but(settings, device="cuda:7"))
    monkeypatch.setattr(doctor, "_PROBE", "raise ImportError")
    with pytest.raises(SettingError, match="torch cannot be imported"):
        await doctor.refuse_to_start(but(settings, device="cuda:0"))
    await doctor.refuse_to_start(but(settings, device="cpu"))


async def test_gpus_that_torch_does_not_see_stop_a_start_on_auto(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "card_memory", lambda: [8e9, 8e9])
    monkeypatch.setattr(doctor, "_PROBE", _found(cuda=[]))
    with pytest.raises(SettingError, match=r"DEVICE=auto, but there is no cuda:0 .* set DEVICE=cpu"):
        await doctor.refuse_to_start(settings)


async def test_loras_that_cannot_be_used_are_named_by_doctor_and_at_start(
    settings: Settings, tmp_path: Path
) -> None:
    layers = {
        "ink": "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
        "other": "diffusion_model.layers.0.attention.to_q",
    }
    for name, layer in layers.items():
        save_file({f"{layer}.lora_A.weight": np.zeros((2, 2), "f4")}, tmp_path / f"{name}.safetensors")
    (tmp_path / "old.ckpt").write_bytes(b"\x80")

    found = {each.name: each for each in doctor._loras(str(tmp_path), ["easel-tiny"])}

    assert (found["LoRAs"].ok, found["LoRAs"].detail) == (True, "ink")
    misfit = "is made for Z-Image, and no model here is that: leave it out of LORAS"
    pickle = "is a pickle, which could run code and is not loaded: fetch it as .safetensors"
    assert {name: each.detail for name, each in found.items() if each.ok is False} == {
        "LoRA other": misfit,
        "LoRA old": pickle,
    }
    with capture_logs() as logs:
        await doctor.refuse_to_start(but(settings, device="cpu", model=("easel-tiny",), loras=str(tmp_path)))
    assert {each["name"]: each["cause"] for each in logs if each["event"] == "a LoRA cannot be used"} == {
        "LoRA other": misfit,
        "LoRA old": pickle,
    }


def test_a_folder_of_loras_that_is_none_is_said_by_doctor_and_stops_the_start(
    settings: Settings, tmp_path: Path
) -> None:
    nowhere = str(tmp_path / "nowhere")
    (finding,) = doctor._loras(nowhere, ["easel-tiny"])
    sentence = f"LORAS={nowhere} is no folder: name one with .safetensors files, or leave it empty."

    assert finding.ok is False and finding.detail == sentence
    assert doctor._loras("", ["easel-tiny"]) == []
    parts: Any = SimpleNamespace(read=None, may_start=None)
    with pytest.raises(SettingError, match=re.escape(sentence)):
        open_engine(but(settings, device="cpu", model=("easel-tiny",), loras=nowhere), parts, parts)


async def test_a_start_needs_one_model_that_can_be_loaded(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    broken = str(tmp_path / "broken")
    with pytest.raises(SettingError, match=r"^Model .*broken: .* has no model_index.json"):
        await doctor.refuse_to_start(but(settings, device="cpu", model=(broken,)))
    await doctor.refuse_to_start(but(settings, device="cpu", model=(broken, "easel-tiny")))
    await doctor.refuse_to_start(but(settings, device="cuda", model=("memory",)))


def _found(cuda: list[str]) -> str:
    return f"print({json.dumps({'torch': '2.13.0', 'cuda': cuda, 'mps': False})!r})"


def a_pair(folder: Path, now: datetime) -> dict[str, str]:
    """Settings of an operator's certificate that was made at `now`."""
    for name, content in zip(("own.pem", "own.key"), keys.make(now), strict=True):
        (folder / name).write_bytes(content)
    return {"signing_certificate": str(folder / "own.pem"), "signing_key": str(folder / "own.key")}


def test_doctor_tells_which_certificate_signs_and_when_it_ends(settings: Settings, tmp_path: Path) -> None:
    assert doctor._certificate(settings).ok is None and not settings.data_dir.exists()

    made = keys.load(settings.keys_dir)
    found = doctor._certificate(settings)
    assert found.ok is True and "Easel's own" in found.detail and f"{made.expires:%Y-%m-%d}" in found.detail

    given = a_pair(tmp_path, datetime.now(UTC))
    assert doctor._certificate(but(settings, **given)).ok is True
    a_pair(tmp_path, datetime.now(UTC) - keys.LIFETIME + keys.SOON - timedelta(days=1))
    assert fails(doctor._certificate(but(settings, **given)), "SIGNING_CERTIFICATE", "new certificate")
    a_pair(tmp_path, datetime.now(UTC) - keys.LIFETIME - timedelta(days=1))
    assert fails(doctor._certificate(but(settings, **given)), "holds from", "Correct SIGNING_CERT")


async def test_a_certificate_that_cannot_sign_stops_the_start(settings: Settings, tmp_path: Path) -> None:
    given = a_pair(tmp_path, datetime.now(UTC) - keys.LIFETIME - timedelta(days=1))
    with pytest.raises(SettingError, match="SIGNING_CERTIFICATE holds from"):
        async with app.opened(but(settings, model=("memory",), **given)):
            pass


@pytest.mark.parametrize(
    ("room", "says", "ok"),
    [
        (1e9, "for models, so all stay loaded", True),
        (2e8, "they take turns, at about 0 s a change", True),
        (1e8, "too little for easel-tiny", False),
    ],
)
def test_the_plan_for_memory_is_told(
    room: float, says: str, ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "memories", lambda names: [room])
    finding = doctor._memory(["easel-tiny", str(PIPELINE)], "cpu")
    assert finding.ok is ok and says in finding.detail
    assert "easel-tiny: 0.1 GB (text_encoder 0.1 GB, unet 23 MB, vae 21 MB)" in finding.detail
    assert bool(finding.remedy) is not ok


def test_a_model_that_is_not_here_yet_has_no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "memories", lambda names: [1e9])
    assert doctor._memory(["someone/some-model", "memory", "easel-tny"], "cpu").ok is None


Z_IMAGE = {"text_encoder": 8_000_000_000, "transformer": 12_300_000_000, "vae": 168_000_000}
SDXL = {"text_encoder_2": 1_390_000_000, "unet": 5_135_000_000, "vae": 167_000_000}


@pytest.mark.parametrize(
    ("card", "bus", "says"),
    [
        (
            16e9,
            12e9,
            "z-image-turbo: 20.5 GB, on this 16.0 GB card its transformer (12.3 GB) and its text_encoder"
            " (8.0 GB) take turns; about +1.7 s a prompt (12 GB/s from host memory, measured)",
        ),
        (16e9, None, "about +1.7 s a prompt (12 GB/s from host memory, assumed)"),
        (16e9, 24e9, "about +0.9 s a prompt (24 GB/s from host memory, measured)"),
        (48e9, 24e9, "z-image-turbo: 20.5 GB, which fits on this 48.0 GB card"),
        (10e9, 12e9, "its transformer (12.3 GB) is streamed by blocks, at most +1.0 s a pass"),
    ],
)
def test_the_plan_for_a_card_is_told(
    card: float, bus: float | None, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "memories", lambda names: [0.8 * card])
    monkeypatch.setattr(doctor, "_footprint", lambda name, weight: Z_IMAGE)
    monkeypatch.setattr(doctor, "profile", lambda cards, card: {})
    monkeypatch.setattr(doctor, "_PROBE", f"print({json.dumps({'bus': bus} if bus else {})!r})")
    finding = doctor._memory(["z-image-turbo"], "cuda:0")
    assert finding.ok is True and says in finding.detail


def test_models_that_fit_alone_take_turns_together(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"z-image-turbo": Z_IMAGE, "sdxl": SDXL}
    monkeypatch.setattr(doctor, "memories", lambda names: [0.8 * 28e9])
    monkeypatch.setattr(doctor, "_footprint", lambda name, weight: sizes[name])
    monkeypatch.setattr(doctor, "profile", lambda cards, card: {})
    monkeypatch.setattr(doctor, "_PROBE", "print({})")
    found = doctor._memory(list(sizes), "cuda")
    assert found.detail.count("which fits on this 28.0 GB card") == 2
    assert "; models in use at once take turns (12 GB/s from host memory, assumed)" in found.detail
    assert "stay on the card" in doctor._memory(["sdxl", "sdxl"], "cuda").detail


def test_a_package_that_would_quantise_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "memories", lambda names: [0.8 * 8e9])
    monkeypatch.setattr(doctor, "_footprint", lambda name, weight: Z_IMAGE)
    monkeypatch.setattr(doctor, "profile", lambda cards, card: {"transformer": "nf4", "text_encoder": "nf4"})
    monkeypatch.setattr(doctor, "_PROBE", "print({})")
    told = doctor._memory(["z-image-turbo"], "cuda").detail
    assert 'pip install "easel[bitsandbytes]" would quantise more of it' in told
    monkeypatch.setattr(doctor, "fitted", lambda *given: fitted(*given, there=lambda package: True))
    told = doctor._memory(["z-image-turbo"], "cuda").detail
    assert "its transformer is quantised (nf4, 3.7 GB)" in told and "pip" not in told
