"""Checks of the machine and the settings, with one remedy for each that fails."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import io
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial
from json import loads
from pathlib import Path
from typing import Any

import structlog
from PIL import Image

from bot.accounts import tiers
from bot.admin import admin_socket
from bot.clock import FAR, wall
from bot.errors import EaselError, SettingError, StoreError
from bot.findings import Finding, own_file
from bot.images.blobs import BlobStore, open_blobs
from bot.memory_plan import Bus, gigabytes, sentence
from bot.messages.types import Card
from bot.models import INSTANCE
from bot.moderation.images import NotSeen, look_once
from bot.provenance import keys, signing
from bot.settings import CoreSettings
from bot.store import Store, look_at, pictures_at
from bot.surfaces import SURFACES, Settings
from engine import catalog, loras
from engine.errors import EngineError, ModelNotLoaded
from engine.families import family_of
from engine.pipelines import structure
from engine.pipelines.model_files import footprint, snapshot
from engine.pipelines.verdicts import ClassVerdict, Verdicts
from engine.profiles import extra, fitted, profile
from engine.scheduling.cost_model import LoadingCosts
from engine.scheduling.residency import FOR_MODELS
from engine.workers.fake import MEMORY
from engine.workers.process import devices, memories, weight_bytes

log = structlog.stdlib.get_logger(__name__)

_LEAST_SPACE = 2.0  # GB
_NAMED = 5  # unreadable rows


async def rebuild(settings: CoreSettings) -> None:
    """Compute every balance again, from the ledger alone. Raises StoreInUse while Easel runs, StoreError."""
    store = await Store.open(settings.database_url)
    try:
        await store.rebuild()
    finally:
        await store.close()


async def confirm_clock(settings: CoreSettings) -> None:
    """Set retention's time to the machine's clock at once. Raises StoreInUse while Easel runs, StoreError."""
    store = await Store.open(settings.database_url)
    try:
        await store.believed(confirmed=True)
    finally:
        await store.close()


async def examine(
    settings: Settings, *, env_file: str | Path = ".env", pictures: bool = False
) -> list[Finding]:
    """Run every check, all at the same time. Changes nothing, starts nothing, sends nothing.

    `pictures` reads every picture that there should be.
    """
    running = await _ask_running(settings.data_dir)
    checks: list[Callable[[], Finding | Sequence[Finding]]] = [
        _python,
        partial(_device, settings.device, running=running is not None),
        *(partial(_model, name, settings.data_dir) for name in settings.model),
        partial(_loras, settings.loras, settings.model),
        partial(_memory, settings.model, settings.device),
        partial(_tiers, settings),
        partial(_running, running),
        partial(_database, settings.database_url),
        *([partial(_pictures, settings)] if pictures else []),
        partial(_clock, settings.database_url, settings.retention_days),
        partial(_disk, settings.data_dir),
        *([partial(_bucket, settings)] if settings.pictures_url else []),
        partial(_classifier, settings.picture_check),
        partial(_certificate, settings),
        *(partial(each.examine, settings, running=running is not None) for each in SURFACES),
        partial(_env_file, Path(env_file)),
    ]
    found = await asyncio.gather(*(asyncio.to_thread(check) for check in checks))
    return [finding for some in found for finding in ([some] if isinstance(some, Finding) else some)]


async def refuse_to_start(settings: Settings) -> None:
    """Raise SettingError with one sentence if no model or device can be used; log other problems."""
    if settings.model == (MEMORY.name,):
        return
    device = await asyncio.to_thread(_device_to_start_with, settings.device)
    models = await asyncio.gather(*(asyncio.to_thread(_model, name) for name in settings.model))
    wrong = [finding for finding in models if finding.ok is False]
    if device.ok is False or len(wrong) == len(models):
        first = device if device.ok is False else wrong[0]
        end = "" if first.detail.endswith((".", "?")) else "."
        raise SettingError(f"{first.name}: {first.detail}{end} {first.remedy}")
    for finding in wrong:
        log.error("one of the models cannot be used", model=finding.name, cause=finding.detail)
    for finding in await asyncio.to_thread(_loras, settings.loras, settings.model):
        if finding.ok is False:
            log.error("a LoRA cannot be used", name=finding.name, cause=finding.detail)
    plan = await asyncio.to_thread(_memory, settings.model, settings.device)
    (log.error if plan.ok is False else log.info)("memory for models", plan=plan.detail)


def _python() -> Finding:
    # An older Python does not get here: its first import fails.
    return Finding("Python", True, f"{platform.python_version()} in {sys.prefix}")


# In a process of its own: torch takes seconds to import and must not live in this one.
_PROBE = """
import json, time, torch
cuda, free, error = [], [], ""
try:
    for i in range(torch.cuda.device_count()):
        cuda.append(torch.cuda.get_device_name(i))
        free.append(torch.cuda.mem_get_info(i)[0])
    if torch.version.cuda and not cuda:
        torch.cuda.init()
except Exception as failure:
    error = str(failure).splitlines()[0]
found = {"torch": torch.__version__, "cuda": cuda, "mps": torch.backends.mps.is_available()}
found |= {"free": free, "error": error}
try:
    weights = torch.ones(2**28, dtype=torch.uint8)  # bytes
    for _ in range(2 * bool(cuda)):  # the first one warms up
        began = time.perf_counter()
        weights.to("cuda")
        torch.cuda.synchronize()
        found["bus"] = len(weights) / (time.perf_counter() - began)
except Exception as failure:  # no memory is free, say: that is for others to tell
    found["bus_error"] = str(failure)
print(json.dumps(found))
"""
_LEAST_FREE = 1e9  # bytes of a card; the smallest model needs so much


_NO_TORCH = Finding("Device", False, "torch cannot be imported", "Install it again: `make install`.")


def _device(wanted: str, *, running: bool = False) -> Finding:
    """Check the devices; while Easel is running, it is what takes their memory."""
    found = _probe()
    return _judged(wanted, {**found, "free": []} if found and running else found)


def _judged(wanted: str, found: dict[str, Any] | None) -> Finding:
    """Check that every device is there that is wanted, and has memory left."""
    if found is None:
        return _NO_TORCH
    named = f"torch {found['torch']}, {', '.join(found['cuda']) or ('MPS' if found['mps'] else 'CPU only')}"
    if missing := [device for device in devices(wanted) if not _has(device, found)]:
        detail = f"DEVICE={wanted}, but there is no {missing[0]} ({named})"
        instead = "set DEVICE=cpu" if wanted == "auto" else "set DEVICE=auto"
        if error := found.get("error"):
            detail = f"{detail}: {error}"
        return Finding(
            "Device", False, detail, f"Install the GPU's driver, a newer one if it is old, or {instead}."
        )
    for device in devices(wanted):
        if (free := _free(device, found)) < _LEAST_FREE:
            detail = f"{device} has {free / 1e9:.1f} GB free ({named})"
            return Finding("Device", False, detail, "End what else uses the card, or name another in DEVICE.")
    return Finding("Device", True, named)


def _device_to_start_with(wanted: str) -> Finding:
    """Check that one of several devices is there; for a CPU, only look for torch, which is quick."""
    if devices(wanted) == ["cpu"]:
        there = importlib.util.find_spec("torch") is not None
        return Finding("Device", True, "the CPU") if there else _NO_TORCH
    found = _probe()
    if found is not None and any(
        _has(each, found) and _free(each, found) >= _LEAST_FREE for each in devices(wanted)
    ):
        return Finding("Device", True, "at least one is there")
    return _judged(wanted, found)


def _probe() -> dict[str, Any] | None:
    """Return what torch finds in a process of its own; None where torch cannot be imported."""
    return _answer(_PROBE)


@cache
def _answer(script: str) -> dict[str, Any] | None:
    """Run a script that prints JSON. What torch finds stays the same, and looking takes seconds."""
    try:
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120, check=True)
        found: dict[str, Any] = loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
    return found


def _free(device: str, found: dict[str, Any]) -> float:
    """Return the free bytes of a card; of what is no card, infinitely many."""
    kind, _, number = device.partition(":")
    known: list[float] = found.get("free", [])
    return known[int(number or 0)] if kind == "cuda" and int(number or 0) < len(known) else math.inf


def _has(device: str, found: dict[str, Any]) -> bool:
    kind, _, number = device.partition(":")
    if kind == "cuda":
        return len(found["cuda"]) > int(number or 0)
    return bool(found["mps"]) if kind == "mps" else True


def _model(name: str, data: Path | None = None) -> Finding:
    """Check a model's files; `data` is the folder where it stands what was learned of its class."""
    title = f"Model {name}"
    if name == MEMORY.name:
        return Finding(title, None, "paints plain shapes, for demonstrations")
    try:
        entry = _entry(name)
        if missing := structure.missing(entry):
            detail = f"needs {missing}, which is not installed"
            return Finding(title, False, detail, f"Run `{extra(missing.split())}`, or choose another MODEL.")
        if entry.local is None and snapshot(entry.source) is None:
            return _of_the_hub(title)
        if entry.local is None:
            return Finding(title, None, f"is here, from the hub ({entry.info.licence})")
        structure.check(entry)
    except ModelNotLoaded as error:
        return Finding(title, False, str(error), "Put the whole model there again, or choose another MODEL.")
    except EngineError as error:
        return Finding(title, False, error.advice, "Correct MODEL, or remove it to use easel-tiny.")
    return Finding(title, True, f"is complete ({entry.info.licence}){_joins(entry, data)}")


def _of_the_hub(title: str) -> Finding:
    """Tell that a model is fetched, unless that is forbidden."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        detail = "is not on this machine, and HF_HUB_OFFLINE forbids to fetch it"
        return Finding(
            title, False, detail, "Remove HF_HUB_OFFLINE, or copy the model here and name its folder."
        )
    return Finding(title, None, "is fetched from the hub when it is first used")


def _loras(folder: str, models: Sequence[str]) -> list[Finding]:
    """Check that each LoRA can be used with some model that is offered."""
    if not folder:
        return []
    try:
        found = loras.read(folder)
    except EngineError as error:
        return [Finding("LoRAs", False, error.advice, "Correct LORAS, or leave it empty.")]
    wrong = dict(found.misfits(list(_classes(models))))
    usable = [name for name in found.found if name not in wrong]
    remedy = "Mend that, or take it out of LORAS."
    return [
        Finding("LoRAs", True if usable else None, ", ".join(usable) or f"none in {folder} can be used"),
        *(Finding(f"LoRA {name}", False, why, remedy) for name, why in wrong.items()),
    ]


def _classes(models: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the name and the pipeline class of each model that is known."""
    for name in models:
        with suppress(EngineError):
            entry = _entry(name)
            yield entry.info.name, entry.pipeline


def _joins(entry: catalog.Entry, data: Path | None) -> str:
    """Return how requests of a model's class meet, if no test has compared that; else nothing."""
    joins = family_of(entry.pipeline).joins
    if data is None or joins == "always":
        return ""
    if joins == "never":
        return "; its calls run alone"
    known = Verdicts(data).of_class(entry.pipeline) or [("", ClassVerdict())]
    return "".join(f"; {' '.join(filter(None, (dtype, each.told())))}" for dtype, each in known)


def _memory(models: Sequence[str], device: str) -> Finding:
    """Check which models fit into a device's memory, which stay loaded together and which take turns."""
    title = "Memory"
    names = devices(device)
    weight, most = weight_bytes(names[0]), memories(names)[0]
    if names[0].startswith("cuda") and most < math.inf:
        return _card_plan(models, names[0], most)
    parts = {name: _footprint(name, weight) for name in models}
    sizes = {name: sum(each.values()) for name, each in parts.items() if each}
    told = "; ".join(f"{name}: {gigabytes(sizes[name])} ({_shares(parts[name])})" for name in sizes)
    if not sizes or most == math.inf:
        return Finding(title, None, told or "what models take is known once they are here")
    large = [name for name, size in sizes.items() if FOR_MODELS * size > most]
    has = f"{names[0]} has {gigabytes(most)} for models"
    if large:
        detail = f"{told}; {has}, too little for {large[0]}"
        return Finding(title, False, detail, "Choose a smaller model, or one that is quantised.")
    if sum(sizes.values()) > most:
        seconds = max(sizes.values()) / LoadingCosts.PACE
        return Finding(title, True, f"{told}; {has}: they take turns, at about {seconds:.0f} s a change")
    return Finding(title, True, f"{told}; {has}, so all stay loaded")


def _card_plan(models: Sequence[str], device: str, memory: float) -> Finding:
    """Tell how each model's components are held on a card, and what their turns cost."""
    card, told, whole = memory / FOR_MODELS, list[str](), 0
    found = _probe() or {}
    bus = Bus(found["bus"], measured=True) if "bus" in found else Bus()
    for name in models:
        if sizes := _footprint(name, weight_bytes(device)):
            fit = fitted(sizes, profile(_entry(name).cards, card), memory)
            told.append(sentence(name, sizes, fit, card, memory, bus))
            whole += sum(held.size for held in fit.parts.values())
    if not told:
        return Finding("Memory", None, "what models take is known once they are here")
    if len(told) > 1:
        told.append("all of them stay on the card" if whole <= memory else "models in use at once take turns")
    return Finding("Memory", True, f"{'; '.join(told)} ({bus})")


def _footprint(name: str, weight: int) -> dict[str, int]:
    """Return the bytes of a model's parts; empty where they are not known."""
    try:
        return footprint(_entry(name).source, weight)
    except EngineError:
        return {}


def _shares(parts: dict[str, int]) -> str:
    largest = sorted(parts.items(), key=lambda each: -each[1])
    return ", ".join(f"{part} {gigabytes(size)}" for part, size in largest)


def _entry(name: str) -> catalog.Entry:
    """Return what the catalog tells of a model. Raises UnknownModel, ModelNotLoaded."""
    found = catalog.load([name])
    (info,) = found.models()
    return found.entry(info.name)


def _tiers(settings: Settings) -> Finding:
    path = Path(settings.tiers_file).expanduser() if settings.tiers_file else None
    try:
        found = tiers.load(path)
    except SettingError as error:
        return Finding("Tiers", False, str(error), "Correct the file that TIERS_FILE names.")
    return Finding("Tiers", True, ", ".join(tier.name for tier in found.all))


def _pictures(settings: Settings) -> Finding:
    """Check that every picture that a row names is there, and is what its name says."""
    title = "Pictures"
    try:
        blobs = open_blobs(settings)
        named = pictures_at(settings.database_url)
    except SettingError as error:
        return Finding(title, False, str(error), "Do what it says, then run this again.")
    except (KeyError, StoreError):
        return Finding(title, None, "there is no database to name them")
    wrong = [f"{what} of job {job}" for job, blob in named if (what := _wrong_with(blobs, blob))]
    if not wrong:
        return Finding(title, True, f"{len(named)} are there and whole")
    detail = f"{len(wrong)} of {len(named)} are missing or damaged: {', '.join(wrong[:3])}"
    return Finding(title, False, detail, "Put them there again from a backup of the folder of pictures.")


def _wrong_with(blobs: BlobStore, name: str) -> str:
    """Return what is wrong with a stored picture; empty when it is whole."""
    try:
        data = blobs.read(name)
    except KeyError:
        return "a missing picture"
    except StoreError:
        return "an unreadable picture"
    return "" if hashlib.sha256(data).hexdigest() == name.partition(".")[0] else "a damaged picture"


async def _ask_running(folder: Path) -> Card | None:
    """Ask the Easel that runs on this data folder for its problems; None where none runs."""
    order = admin_socket.Order(command=admin_socket.EXAMINE, options={}, tenant=INSTANCE, name="doctor")
    try:
        return await admin_socket.ask(folder, order)
    except EaselError as error:
        return Card(kind="text", body=(str(error),))


def _running(said: Card | None) -> Finding:
    if said is None:
        return Finding("Running Easel", None, "none on this data folder")
    if said.body:
        return Finding("Running Easel", False, " ".join(said.body), "Look at its log, then restart it.")
    return Finding("Running Easel", True, "is ready, with every device in service")


def _database(url: str) -> Finding:
    try:
        facts = look_at(url)
    except KeyError:
        return Finding("Database", None, "is created by the first start")
    except StoreError as error:
        file = url.startswith("sqlite")
        remedy = "Put a backup in its place, or move the file away." if file else "Correct DATABASE_URL."
        return Finding("Database", False, str(error), remedy)
    detail = f"{facts.database}, schema {facts.revision or 'none'}"
    if facts.problem:
        by_ledger = "Stop Easel, and run `python -m bot doctor --rebuild`."
        remedy = by_ledger if "ledger" in facts.problem else "Put a backup in its place."
        return Finding("Database", False, f"{detail}; {facts.problem}", remedy)
    if facts.unreadable:
        rows = f"{len(facts.unreadable)} rows" if len(facts.unreadable) > 1 else "a row"
        detail += f"; {rows} cannot be read and are set aside: {', '.join(facts.unreadable[:_NAMED])}"
        return Finding("Database", False, detail, "Correct them, or put a backup in its place.")
    return Finding("Database", True, detail)


def _clock(url: str, retention: int, now: Callable[[], datetime] = wall) -> Finding:
    """Check that the machine's clock fits to what was written last."""
    try:
        facts = look_at(url)
    except (KeyError, StoreError):
        return Finding("Clock", None, "there is nothing yet to compare it with")
    ahead = now() - (facts.believed or now())
    if facts.newest and facts.newest - now() > FAR:
        detail = f"the ledger was written up to {facts.newest:%Y-%m-%d}, and the clock says {now():%Y-%m-%d}"
        remedy = "Set the machine's clock if it is wrong; else this heals with the next requests."
        return Finding("Clock", False, detail, remedy)
    if retention and ahead > FAR:
        detail = f"it jumped by {ahead.days} days, so old jobs are deleted a day at a time"
        remedy = "If the clock is right, stop Easel and run `python -m bot doctor --retention`."
        return Finding("Clock", False, detail, remedy)
    return Finding("Clock", True, f"{now():%Y-%m-%d %H:%M} UTC")


def _disk(folder: Path) -> Finding:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"easel")
    except OSError as error:
        detail = f"{existing} cannot be written ({error.strerror})"
        return Finding("Disk", False, detail, "Make the folder writable, or set DATA_DIR.")
    free = shutil.disk_usage(existing).free / 1e9
    detail = f"{free:.1f} GB free in {existing}"
    if free < _LEAST_SPACE:
        return Finding("Disk", False, detail, f"Free some space: {_LEAST_SPACE:g} GB are needed.")
    return Finding("Disk", True, detail)


def _bucket(settings: Settings) -> Finding:
    """Return whether the bucket for pictures answers to Easel's key. Writes nothing."""
    try:
        asyncio.run(open_blobs(settings).check())
    except (SettingError, StoreError) as error:
        return Finding("Bucket", False, str(error), "Do what it says, then run this again.")
    return Finding("Bucket", True, f"{settings.pictures_url} answers")


def _certificate(settings: Settings) -> Finding:
    """Check the certificate that signs pictures; say which it is and when it ends."""
    title = "Signatures"
    try:
        found = keys.found(settings.keys_dir, settings.signing_certificate, settings.signing_key)
        if found is None:
            return Finding(title, None, "the first start makes the keys that pictures are signed with")
        signing.check(found)
    except (SettingError, OSError) as error:
        remedy = "Correct SIGNING_CERTIFICATE and SIGNING_KEY, or put a backup of DATA_DIR/keys in its place."
        return Finding(title, False, str(error), remedy)
    whose = "SIGNING_CERTIFICATE" if found.own else "a certificate of Easel's own"
    detail = f"{whose} ({found.name}), until {found.expires:%Y-%m-%d}"
    if found.own and found.expires < datetime.now(UTC) + keys.SOON:
        return Finding(title, False, detail, "Put a new certificate in its place before it ends.")
    return Finding(title, True, detail)


def _classifier(wanted: bool) -> Finding:
    title = "Picture check"
    if not wanted:
        return Finding(title, None, "PICTURE_CHECK=false: pictures are shown without a look at them")
    try:
        seen = look_once(_white())
    except NotSeen as error:
        return Finding(title, False, f"pictures cannot be checked ({error})", "Install Easel again.")
    if not seen.harmless:
        return Finding(title, False, "the classifier misjudges a blank picture", "Install Easel again.")
    return Finding(title, True, "the classifier looks at every picture before it is shown")


def _white() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(file, "PNG")
    return file.getvalue()


def _env_file(path: Path) -> Finding:
    if not path.is_file():
        return Finding("Settings file", None, f"no {path}: every setting has its default")
    return own_file("Settings file", path)
