"""The engine over worker processes on this machine, one for each device."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import platform
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import cache, partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from typing import Any

from engine import catalog
from engine.guides import read as read_guides
from engine.loras import read as read_loras
from engine.pipelines.model_files import footprint
from engine.remote.models import Remote, RemoteModels, is_remote
from engine.scheduling.residency import FOR_MODELS
from engine.types import BlobRef
from engine.workers.dispatcher import Dispatcher, Spawn, Worker
from engine.workers.heartbeat import Activity, Heartbeat
from engine.workers.messages import Cancel, Order, Report, Setup, Start

_log = logging.getLogger(__name__)

CLOSING_SECONDS = 5.0  # in which a worker that is asked to stop may finish its forward pass
STARTING_SECONDS = 600.0  # how long it may take to import torch, from a cold disk
PINNED = 0.5  # of the machine's memory, at most, holds weights so that copying them to cards is quick
UNSEEN = 16e9  # bytes that a model counts with until it is on this machine
BEAT_SECONDS = 1.0  # between two signs of life, and between two looks at them
SILENT_BEATS = 15  # an idle worker that misses so many, or leaves an order alone so long, is replaced
BUSY_SILENT_BEATS = 60  # while it works or loads: libraries may keep every other thread waiting meanwhile

PROCESSES: SpawnContext | ForkServerContext = get_context("spawn")  # CUDA does not survive a fork

Target = Callable[[Setup, Connection, Connection, Heartbeat], None]
"""What a worker process runs: its setup, the pipe of orders, the pipe of reports, its heartbeat."""


def run_worker(setup: Setup, orders: Connection, reports: Connection, heartbeat: Heartbeat) -> None:
    """Run the worker process: torch is imported here and nowhere else."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle, also during imports
    # Threads that spin while they wait for each other are ten times slower once anything else runs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Modules of many sizes come and go: segments that cannot grow would leave holes that nothing fits into.
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):  # the latter until torch 2.9
        os.environ.setdefault(name, "expandable_segments:True")
    from engine.workers.loop import main

    main(setup, orders, reports, heartbeat)


def _enter(
    target: Target, setup: Setup, orders: Connection, reports: Connection, heartbeat: Heartbeat
) -> None:
    """Run `target` in the worker process, with a thread that tells from the start that it lives."""
    threading.Thread(target=_beat, args=(heartbeat,), name="heartbeat", daemon=True).start()
    target(setup, orders, reports, heartbeat)


def _beat(heartbeat: Heartbeat) -> None:
    while True:
        heartbeat.beat()
        time.sleep(BEAT_SECONDS)


class ProcessEngine(Dispatcher):
    """Workers on the devices of this machine.

    `models`: names, folders, files or hub names, the default first. `device`: "auto", or devices such as
    "cpu", "mps", "cuda:0,cuda:1". `read` returns the bytes of a source picture. A forward pass that takes
    longer than `hang_seconds` counts as hung. `memory` is what each device has for models, in bytes: by
    default most of the machine's, or of the card's if that is more. `loras`, `controlnets` and `ip_adapters`
    are folders, `state` one for what is learned of models. `cutout` is a segmentation model that cuts out in
    place of the one that ships. `remotes` says more of the models that are behind an API, and `key` returns
    the key of one by its name and its host. Without any other model, no device here is used. `target` is for
    tests of faults; other options are those of the dispatcher.

    Raises UnknownModel, ModelNotLoaded, LoraUnusable, GuideUnusable.
    """

    def __init__(
        self,
        *,
        models: Sequence[str],
        device: str,
        read: Callable[[BlobRef], bytes],
        hang_seconds: float = 120.0,
        target: Target = run_worker,
        memory: float | None = None,
        loras: str = "",
        controlnets: str = "",
        ip_adapters: str = "",
        state: str = "",
        cutout: str = "",
        remotes: RemoteModels | None = None,
        key: Callable[[str, str], str] = lambda model, host: "",
        judged: bool = False,
        **options: Any,
    ) -> None:
        here = tuple(name for name in models if not is_remote(name))
        self.devices = devices(device) if here else []
        weight = weight_bytes(self.devices[0]) if here else 0
        pinned = PINNED * host_memory() / max(1, len(self.devices))
        common: dict[str, Any] = {
            "models": here,
            "loras": loras,
            "controlnets": controlnets,
            "ip_adapters": ip_adapters,
            "pinned": pinned,
            "state": state,
            "cutout": cutout,
        }
        setups = [Setup(device=name, hang_seconds=hang_seconds, **common) for name in self.devices]
        spawns = [(setup.device, partial(WorkerProcess.start, setup, target)) for setup in setups]
        known = catalog.load(
            models,
            loras=read_loras(loras),
            guides=read_guides(controlnets, ip_adapters),
            cuts_out=bool(cutout),
            judged=judged,
            remotes=remotes,
        )
        away = servers(known, key)
        rooms = room_for_models(self.devices) if memory is None else [memory] * len(self.devices)
        super().__init__(
            known,
            [*spawns, *((device, spawn) for device, (_model, spawn) in away.items())],
            read,
            memory=[*rooms, *(math.inf for _ in away)],
            size=lambda entry: 0.0 if entry.remote else _bytes(entry, weight),
            served={device: model for device, (model, _spawn) in away.items()},
            **options,
        )


def _bytes(entry: catalog.Entry, weight: int) -> float:
    return sum(footprint(entry.source, weight).values()) or UNSEEN


def servers(known: catalog.Catalog, key: Callable[[str, str], str]) -> dict[str, tuple[str, Spawn]]:
    """Return each model behind an API with what asks its server, by a name for that in place of a device."""
    found: dict[str, tuple[str, Spawn]] = {}
    for model in known.models():
        entry = known.entry(model.name)
        if entry.remote:
            secret = key(model.name, entry.remote.host)
            found[f"api:{model.name}"] = model.name, partial(_ask, entry, entry.remote, secret)
    return found


async def _ask(entry: catalog.Entry, remote: Remote, key: str) -> Worker:
    from engine.remote.worker import RemoteWorker  # whose HTTP client an engine of own models does without

    return RemoteWorker(entry, remote, key)


def host_memory() -> float:
    """Return the bytes of memory that this process may use at most: the machine's, or its container's."""
    try:
        machine = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError):  # Windows
        return math.inf
    try:
        return min(machine, float(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    except (OSError, ValueError):  # no container, or no limit
        return machine


def devices(setting: str) -> list[str]:
    """Return the devices that a DEVICE setting stands for, found without importing torch."""
    if setting != "auto":
        return [name.strip() for name in setting.split(",") if name.strip()]
    if cards := card_memory():
        return [f"cuda:{number}" for number in range(len(cards))]
    return ["mps"] if (platform.system(), platform.machine()) == ("Darwin", "arm64") else ["cpu"]


def card_memory() -> list[float]:
    """Return the bytes of each NVIDIA card that torch will see, found without importing it."""
    visible, program = os.environ.get("CUDA_VISIBLE_DEVICES"), shutil.which("nvidia-smi")
    if visible == "" or not program:
        return []
    cards = _all_cards(program)
    found: list[float] = []
    for name in [each.strip() for each in visible.split(",")] if visible else map(str, range(len(cards))):
        memory = _card(name, cards)
        if memory is None:
            break  # CUDA looks no further than the first that is wrong
        found.append(memory)
    return found


@cache
def _all_cards(program: str) -> dict[str, float]:
    """Return the bytes of every NVIDIA card by its UUID; nvidia-smi is slow, so it is asked once."""
    command = [program, "--query-gpu=uuid,memory.total", "--format=csv,noheader,nounits"]
    listing = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    rows = [line.split(",") for line in listing.stdout.splitlines() if line.startswith("GPU-")]
    return {uuid.strip(): float(mebibytes) * 2**20 for uuid, mebibytes in rows}


def _card(name: str, cards: Mapping[str, float]) -> float | None:
    """Return the memory of a card by its number or the beginning of its UUID, as CUDA would find it."""
    if re.fullmatch(r"-?\d*", name):
        numbered = dict(zip(map(str, range(len(cards))), cards.values(), strict=True))
        return numbered.get(name)
    if name.startswith("MIG-"):  # a part of a card, whose size nothing tells
        return min(cards.values(), default=None)
    return next((memory for uuid, memory in cards.items() if uuid.startswith(name)), None)


def memories(names: Sequence[str]) -> list[float]:
    """Return the bytes that each device has for models; those that use this machine's memory share it."""
    cards = card_memory() if any(name.startswith("cuda") for name in names) else []
    shared = FOR_MODELS * host_memory() / max(1, sum(not name.startswith("cuda") for name in names))
    return [_memory(name, cards, shared) for name in names]


def room_for_models(names: Sequence[str]) -> list[float]:
    """Return the bytes of models that each device's worker may have loaded.

    They are in the machine's memory, and come to a card by components. A card that has more holds more.
    """
    shared = FOR_MODELS * host_memory() / max(1, len(names))
    return [
        max(shared, memory) if name.startswith("cuda") else memory
        for name, memory in zip(names, memories(names), strict=True)
    ]


def _memory(name: str, cards: Sequence[float], shared: float) -> float:
    kind, _, number = name.partition(":")
    if kind != "cuda":
        return shared
    return FOR_MODELS * cards[int(number or 0)] if int(number or 0) < len(cards) else math.inf


def weight_bytes(device: str) -> int:
    """Return the bytes of one weight, as a worker loads it."""
    return 4 if device.startswith("cpu") else 2


class Silence:
    """Counts, look by look, for how long a worker has given no sign of life."""

    def __init__(self, heartbeat: Heartbeat) -> None:
        self._heartbeat = heartbeat
        self._beats = -1
        self._missed = 0  # beats in a row
        self._waiting = 0  # looks in a row that found an idle worker with an order not taken in

    def trouble(self, activity: Activity | None, sent: int) -> str:
        """Check once more and return what is wrong; empty while all is well. `sent`: orders sent so far."""
        beats = self._heartbeat.beats
        self._missed = self._missed + 1 if beats == self._beats else 0
        self._beats = beats
        self._waiting = self._waiting + 1 if activity is None and sent != self._heartbeat.taken else 0
        if self._missed >= (SILENT_BEATS if activity is None else BUSY_SILENT_BEATS):
            return f"gives no sign of life for {self._missed} s"
        return f"has left an order alone for {self._waiting} s" if self._waiting >= SILENT_BEATS else ""


class WorkerProcess:
    """A worker as the dispatcher sees it: a process, two pipes and a page of shared memory."""

    def __init__(self, setup: Setup, target: Target) -> None:
        self._heartbeat = Heartbeat(PROCESSES)
        self._heartbeat.begin(STARTING_SECONDS, [])
        orders_in, self._orders = PROCESSES.Pipe(duplex=False)
        self._reports, reports_out = PROCESSES.Pipe(duplex=False)
        self._process = PROCESSES.Process(
            target=_enter,
            args=(target, setup, orders_in, reports_out, self._heartbeat),
            name=f"easel-{setup.device}",
            daemon=True,
        )
        self._process.start()
        orders_in.close()  # the worker's ends: closed here, so that its death is seen as the end of the pipe
        reports_out.close()
        self._sending = threading.Lock()
        self._sent = 0  # orders
        self._suspects: frozenset[str] = frozenset()

    @classmethod
    async def start(cls, setup: Setup, target: Target) -> WorkerProcess:
        return await asyncio.to_thread(cls, setup, target)

    @property
    def pid(self) -> int | None:
        return self._process.pid

    async def send(self, order: Start) -> None:
        await asyncio.to_thread(self._send, order)

    async def cancel(self, job_id: str) -> None:
        await asyncio.to_thread(self._send, Cancel(job_id))

    def _send(self, order: Order) -> None:
        try:
            with self._sending:
                self._sent += 1  # before it is sent: a pipe that the worker does not read may be full
                self._orders.send(order)
        except OSError as error:  # it has died: its jobs are queued again when its events end
            _log.warning("a worker has died before it got an order: %s", error)

    async def events(self) -> AsyncGenerator[Report, None]:
        inbox: asyncio.Queue[Report | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._receive, args=(loop, inbox), daemon=True).start()
        watch = asyncio.create_task(self._watch())
        try:
            while (event := await inbox.get()) is not None:
                yield event
        finally:
            watch.cancel()

    def _receive(self, loop: asyncio.AbstractEventLoop, inbox: asyncio.Queue[Any]) -> None:
        try:
            while True:
                loop.call_soon_threadsafe(inbox.put_nowait, self._reports.recv())
        except (EOFError, OSError):
            self._remember_suspects()
            loop.call_soon_threadsafe(inbox.put_nowait, None)
        except RuntimeError as error:  # the event loop was closed first
            _log.debug("event loop closed before its worker: %s", error)

    async def _watch(self) -> None:
        """Kill the process when it is silent, leaves an order alone, or works longer than it may.

        Silence is counted in checks, not by a clock: when this process was stopped, too (a paused container),
        none was counted.
        """
        silence = Silence(self._heartbeat)
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            activity = self._heartbeat.activity()
            trouble = silence.trouble(activity, self._sent)
            if activity is not None and activity.overdue:
                trouble = f"hangs after {activity.limit} s"
            if trouble:
                _log.error(
                    "worker %s, jobs %s: it is replaced", trouble, sorted(activity.jobs if activity else ())
                )
                self._process.kill()
                return

    def _remember_suspects(self) -> None:
        activity = self._heartbeat.activity()
        self._suspects = activity.jobs if activity else frozenset()

    def suspects(self) -> frozenset[str]:
        return self._suspects

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        if self._sending.acquire(timeout=1):  # else a send waits in a pipe that the worker does not read
            self._sending.release()
            self._send(None)
            self._process.join(CLOSING_SECONDS)
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._orders.close()
