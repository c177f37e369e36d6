"""The process that owns one device.

It receives orders over a pipe, keeps a greenlet for each picture, and repeats three steps: pick the requests
whose turn it is, run them in one forward pass, hand the results back. A second thread sends the events and
encodes the pictures, so that the device never waits for a PNG.
"""

from __future__ import annotations

import gc
import itertools
import logging
import math
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from engine import catalog, guides, loras
from engine.errors import Cancelled, EngineError, InvalidPicture, InvalidRequest, OutOfMemory
from engine.guides import GuideUnusable
from engine.loras import Lora, LoraUnusable
from engine.pipelines import lora as lora_files
from engine.pipelines import run as pipelines
from engine.pipelines.batching import (
    Call,
    Clock,
    InterceptionPoint,
    Request,
    run_joined,
    translate_memory_error,
)
from engine.pipelines.components import DeviceMemory, cards
from engine.pipelines.control import Control
from engine.pipelines.cutout import AlphaEstimator, Cutter, ModelCutter
from engine.pipelines.enlarging import Lay
from engine.pipelines.image_prompts import ImagePrompts
from engine.pipelines.long_prompts import Heard, listening
from engine.pipelines.lora import Adapter
from engine.pipelines.rehearsal import rehearse
from engine.pipelines.upscale import Upscaler
from engine.pipelines.verdicts import Verdicts
from engine.scheduling.cost_model import PassCosts
from engine.scheduling.step_order import Limits, StepOrder
from engine.types import (
    EngineEvent,
    EngineJob,
    Failed,
    Finished,
    GenerationRequest,
    NamedSize,
    Picture,
    Progress,
    Restarted,
    Started,
)
from engine.workers.heartbeat import Heartbeat
from engine.workers.loading import STUCK_SECONDS, Loader, Outcome, attempt
from engine.workers.lora_loading import Further, LoraLoader, Read, guide_name
from engine.workers.messages import Cancel, ModelLoaded, Order, Pulse, Ready, Report, Setup, Start

_log = logging.getLogger(__name__)

PREVIEW_STEPS = 2  # a preview after every so many denoising steps
PROGRESS_SECONDS = 0.2  # no two progress events of a job come closer than this
PULSE_SECONDS = 1.0  # nor two pulses
KEPT_GUIDES = 2**33  # bytes of guides that a model keeps although no request uses them
LOADING_LOOK = 0.05  # seconds between two looks whether a model is loaded, while nobody paints


@dataclass(slots=True, eq=False)
class Resident:
    """A job inside the engine."""

    job: EngineJob
    number: int  # in the order of arrival
    used: float = 0.0  # device-seconds that its owner had used in its class
    sources: tuple[bytes, ...] = ()
    requests: list[PictureRequest] = field(default_factory=list)
    seconds: float = 0.0
    reported: float = 0.0  # when its last progress event went out
    previewed: int = -1  # its step at the last preview

    @property
    def step(self) -> int:
        return sum(request.step for request in self.requests)

    @property
    def steps(self) -> int:
        return max(1, sum(request.steps for request in self.requests))


class PictureRequest(Request):
    """One picture's pipeline call; a `step_order.Step` whenever it is parked."""

    def __init__(
        self,
        resident: Resident,
        model: pipelines.Loaded,
        index: int,
        run: Callable[[PictureRequest], torch.Tensor],
    ) -> None:
        super().__init__(lambda: run(self))
        self.resident = resident
        self._rows = model.entry.rows
        self.index = index
        self.calls = 0  # forward passes taken
        self.heard = Heard()
        self.joined = False  # whether any of them was one with other pictures
        self.step = 0
        self.painted = resident.job.request.size_at(index) is None  # else made of one that was
        self.steps = resident.job.request.steps_taken if self.painted else 0
        self.preview: torch.Tensor | None = None
        self.failed_pass: Exception | None = None  # what its last forward pass raised

    def charge(self, seconds: float) -> None:
        """Note device-seconds that the job has cost; sizes that are made of a picture cost nothing."""
        if self.painted:
            self.resident.seconds += seconds

    @property
    def tenant(self) -> tuple[str, float]:
        return self.resident.job.tenant, self.resident.job.tenant_weight

    @property
    def user(self) -> tuple[str, float]:
        return self.resident.job.user, self.resident.job.user_weight

    @property
    def key(self) -> Hashable:
        assert self.call is not None
        if self.resident.job.deaths:  # it may have ended a worker, so it runs apart from others
            return self.resident.job.id, self.call.key
        if self.resident.job.request.reproducible:  # other rows in a pass change a picture's last bits
            return self.resident.job.id, self.index, self.call.key
        return self.call.key

    @property
    def rows(self) -> int:
        assert self.call is not None
        return self.call.rows

    @property
    def most_rows(self) -> int:
        """Return how many rows a pass may have here: by the catalog, and by passes that ran out of memory."""
        assert self.call is not None
        return int(min(max(self._rows, self.call.rows), self.call.most_rows))

    @property
    def turn(self) -> tuple[int, int]:
        """Return the sort key of a person's steps: jobs as they came, a job's pictures together, to join."""
        return self.resident.number, self.calls

    @property
    def relaxed(self) -> bool:
        return self.resident.job.relaxed

    @property
    def used(self) -> float:
        return self.resident.used


class WorkerLoop:
    """One device, its models and the jobs inside."""

    def __init__(self, setup: Setup, orders: Connection, outbox: Outbox, heartbeat: Heartbeat) -> None:
        self._setup = setup
        self._orders = orders
        self._outbox = outbox
        self._heartbeat = heartbeat
        self._device = torch.device(setup.device)
        self._memory = DeviceMemory.of(self._device, setup.pinned)
        self._wanted: set[int] = set()  # ids of the components that calls wait for
        self._clock = Clock(self._device)
        self._catalog = catalog.load(setup.models)
        self._models: dict[str, pipelines.Loaded] = {}
        self._verdicts = Verdicts(Path(setup.state) if setup.state else None)
        # By model: requests that begin when the one before them has ended, the first of which runs.
        self._apart: dict[str, deque[PictureRequest]] = {}
        # While libraries make a model they set torch's default dtype, which holds for all threads. Where
        # it is another one, only files are brought here beside the steps; the model is made between two.
        beside = pipelines.dtype_on(self._device) is torch.get_default_dtype()
        self._loader = Loader(self._load if beside else self._fetch)
        self._unwanted: set[str] = set()  # models to unload once they are loaded
        self._loras = _loras(setup.loras)
        self._guides = _guides(setup.controlnets, setup.ip_adapters)
        self._lora_loader = LoraLoader(self._load_further)
        self._upscaler: Upscaler | None = None
        self._segmenter: AlphaEstimator | None = None
        self._costs = PassCosts()
        self._turns: StepOrder[PictureRequest] = StepOrder(self._costs.predict, Limits(), self._change)
        self._residents: dict[str, Resident] = {}
        self._numbers = itertools.count()
        self._pulse = Pulse(models=())  # not sent yet
        self._pulsed = 0.0  # when the last one was sent
        self._open = True

    def run(self) -> None:
        with torch.no_grad():
            self._prepare()
            while self._open:
                self.turn()

    def turn(self) -> None:
        """Take in what has arrived, then let the requests whose turn it is take one step together."""
        self._receive()
        for outcome in self._loader.outcomes():
            self._on_loaded(outcome)
        for read in self._lora_loader.outcomes():
            self._on_lora(read)
        if self._memory.moves:
            self._wanted = {id(call.point.component) for call in self._calls()}
        if batch := self._turns.pick():
            self._begin_work({request.resident.job.id for request in batch})
            self._hand_back(batch, self._run(batch))
            self._end_work()

    def _calls(self) -> Iterator[Call]:
        """Yield the calls that wait for a pass."""
        for resident in self._residents.values():
            yield from (request.call for request in resident.requests if request.call is not None)

    @property
    def idle(self) -> bool:
        """Return whether nobody paints and nothing is being loaded."""
        return not len(self._turns) and not self._loading

    @property
    def _loading(self) -> bool:
        return self._loader.busy or self._lora_loader.busy

    def _prepare(self) -> None:
        """Load the default model before anyone asks, and say so."""
        self._loader.ask(self._catalog.entry(self._catalog.models()[0].name))
        while self._loader.busy:
            self._end_work()
            for outcome in self._loader.outcomes():
                self._outbox.put(Ready(self._on_loaded(outcome)))
            if time.monotonic() - self._pulsed >= PULSE_SECONDS:
                self._send_pulse()
            time.sleep(LOADING_LOOK)
        self._end_work()

    # --- what the parent reads if this process dies or hangs ---

    def _begin_work(self, jobs: set[str]) -> None:
        """Note that a piece of work begins, and which jobs are suspects if it never ends."""
        self._heartbeat.begin(self._setup.hang_seconds, jobs | self._waiting_for_models())

    def _end_work(self) -> None:
        """Note that a piece of work has ended. Loading has no limit here: the loader gives up by itself."""
        if self._loader.busy:
            self._heartbeat.begin(math.inf, self._waiting_for_models())
        else:
            self._heartbeat.end()

    def _waiting_for_models(self) -> set[str]:
        return {id for id, resident in self._residents.items() if not resident.requests}

    # --- orders ---

    def _receive(self) -> None:
        """Take in what has arrived; wait for it while there is nothing to paint."""
        if self.idle or time.monotonic() - self._pulsed >= PULSE_SECONDS:
            self._send_pulse()
        while self._open and self._orders.poll(self._longest_wait()):
            try:
                order: Order = self._orders.recv()
            except (EOFError, OSError):  # the parent is gone
                order = None
            self._heartbeat.take()
            self._carry_out(order)

    def _longest_wait(self) -> float | None:
        """Return for how many seconds to wait for an order; None while there is nothing else to do."""
        if len(self._turns):
            return 0.0
        return LOADING_LOOK if self._loading else None

    def _carry_out(self, order: Order) -> None:
        match order:
            case None:
                self._open = False
            case Start():
                self._admit(order)
            case Cancel(job=job):
                if resident := self._residents.get(job):
                    self._fail(resident, Cancelled(f"job {job} was running"))

    def _admit(self, order: Start) -> None:
        job = order.job
        resident = self._residents[job.id] = Resident(job, next(self._numbers), order.used, order.sources)
        self._outbox.put(Started(job=job.id))
        if job.request.model in self._models:
            self._begin(resident)
            return
        try:
            entry = self._catalog.entry(job.request.model)
        except EngineError as error:
            self._fail(resident, error)
            return
        for name in order.leave:
            self._unload(name)
        self._unwanted.discard(entry.info.name)
        self._loader.ask(entry)
        self._end_work()

    def _begin(self, resident: Resident) -> None:
        """Let a job's pictures run until their first shared call."""
        job, model = resident.job, self._model(resident.job.request.model)
        if not (self._has_loras(resident, model) and self._has_guides(resident, model)):
            return
        self._begin_work({job.id})
        resident.requests = [
            PictureRequest(resident, model, index, self._painter(model, job.request, index, resident.sources))
            for index in range(job.request.count)
        ]
        self._start(resident, tuple(resident.requests), model)  # sizes are added meanwhile
        self._end_work()

    def _start(self, resident: Resident, requests: Sequence[PictureRequest], model: pipelines.Loaded) -> None:
        for request in requests:
            if model.apart:
                self._line_up(request)
            elif resident.job.id in self._residents:  # else the first picture has failed, and with it the job
                self._go_on(request, None)

    def _has_loras(self, resident: Resident, model: pipelines.Loaded) -> bool:
        """Return whether a job's LoRAs are loaded; else ask for them, or end it where one is unknown."""
        request = resident.job.request
        missing = model.loras.missing(request.loras) if request.paints else []
        for name in missing:
            if name not in self._loras.found:
                self._fail(resident, LoraUnusable(f"there is no LoRA {name}", advice=loras.missing(name)))
                return False
            self._lora_loader.ask(self._loras.found[name], model)
        return not missing

    def _has_guides(self, resident: Resident, model: pipelines.Loaded) -> bool:
        """Return whether what guides a job is loaded; else ask for it, or end the job where it is unknown."""
        request = resident.job.request
        wanted = dict.fromkeys(each.by for each in request.guides) if request.paints else ()
        missing = [name for name in wanted if name not in model.guides]
        for name in missing:
            if name not in self._guides.found:
                error = GuideUnusable(f"there is no guide {name}", advice=guides.missing(name))
                self._fail(resident, error)
                return False
            self._lora_loader.ask(self._guides.found[name], model)
        return not missing

    def _on_lora(self, read: Read) -> None:
        """Begin the jobs that have waited for a LoRA or a guide, or end them if it could not be read."""
        model, name = read.model, read.model.entry.info.name
        if self._models.get(name) is not model:  # it has been unloaded meanwhile
            return
        users = [each for each in self._residents.values() if each.job.request.model == name]
        if isinstance(read.result, Adapter):
            model.loras.leave({lora.name for each in users for lora in each.job.request.loras})
            model.loras.attach(read.result)
        elif isinstance(read.result, Control | ImagePrompts):
            used = {guide.by for each in users for guide in each.job.request.guides}
            model.leave_guides(used, most=KEPT_GUIDES)
            model.take_guide(read.result)
        for resident in users:
            if resident.requests or read.name not in _further(resident.job.request):
                continue
            if isinstance(read.result, EngineError):
                self._fail(resident, read.result)
            else:
                self._begin(resident)

    def _line_up(self, request: PictureRequest) -> None:
        """Begin a request of a model whose requests run one after another, if it is the first."""
        line = self._apart.setdefault(request.resident.job.request.model, deque())
        line.append(request)
        if len(line) == 1:
            self._go_on(request, None)

    def _next_apart(self, request: PictureRequest) -> None:
        """Begin the next request of a model whose requests run one after another, when one has ended."""
        line = self._apart.get(request.resident.job.request.model, ())
        if not line or line[0] is not request:
            return
        line.popleft()
        while line and line[0].resident.job.id not in self._residents:  # its job has ended meanwhile
            line.popleft()
        if line:
            self._go_on(line[0], None)

    def _painter(
        self, model: pipelines.Loaded, asked: GenerationRequest, index: int, sources: Sequence[bytes]
    ) -> Callable[[PictureRequest], torch.Tensor]:
        def run(request: PictureRequest) -> torch.Tensor:
            listening.set(request.heard)
            if sources and not asked.paints:  # it takes no steps
                request.preview = pipelines.as_it_is(sources[0])

            def report(
                step: int,
                steps: int,
                latents: torch.Tensor | None,
                size: tuple[int, int],
                lay: Lay | None = None,
            ) -> None:
                request.step, request.steps = step, steps
                if model.preview and latents is not None and step % PREVIEW_STEPS == 0:
                    part = model.preview.picture(latents, *size)
                    request.preview = lay(part) if lay and part is not None else part

            return pipelines.paint(model, asked, index, sources, report)

        return run

    # --- models ---

    def _model(self, name: str) -> pipelines.Loaded:
        """Return the model; load it here and now if it is not loaded. Raises UnknownModel, ModelNotLoaded."""
        loaded = self._models.pop(name, None) or self._load(self._catalog.entry(name))
        self._models[name] = loaded  # the last one is the one used last
        return loaded

    def _load(self, entry: catalog.Entry) -> pipelines.Loaded:
        loaded = pipelines.load(entry, self._memory, self._upscale(), self._verdicts, self._segment)
        rehearse(loaded, self._verdicts.save)
        return loaded

    def _load_further(self, wanted: Further, model: pipelines.Loaded) -> Adapter | Control | ImagePrompts:
        if isinstance(wanted, Lora):
            return lora_files.load(wanted, model.pipe, self._memory, pipelines.dtype_on(self._device))
        return pipelines.load_guide(wanted, model, self._memory)

    def _fetch(self, entry: catalog.Entry) -> None:
        pipelines.fetch(entry, self._memory)

    def _make(self, entry: catalog.Entry) -> pipelines.Loaded | EngineError:
        """Load a model from files that are in memory, or return why it cannot be loaded."""
        self._heartbeat.begin(STUCK_SECONDS, self._waiting_for_models())
        return attempt(self._load, entry)

    def _on_loaded(self, outcome: Outcome) -> EngineError | None:
        """Begin the jobs that have waited for a model, or end them if it could not be loaded; return why."""
        name, began = outcome.entry.info.name, time.monotonic()
        result = self._make(outcome.entry) if outcome.result is None else outcome.result
        size = 0 if isinstance(result, EngineError) else result.size
        seconds = outcome.seconds + time.monotonic() - began
        self._outbox.put(ModelLoaded(model=name, seconds=seconds, size=size))
        if not isinstance(result, EngineError):
            self._models[name] = result
            self._send_pulse()
        if name in self._unwanted:
            self._unload(name)
        for resident in list(self._residents.values()):
            if resident.job.request.model != name or resident.requests:
                continue
            if isinstance(result, EngineError):
                self._fail(resident, result)
            else:
                self._begin(resident)
        return result if isinstance(result, EngineError) else None

    def _unload(self, name: str) -> None:
        """Unload a model and send its relaxed jobs back to the queue. A model that a fast job uses stays."""
        users = [each for each in self._residents.values() if each.job.request.model == name]
        if any(not each.job.relaxed for each in users):
            return
        if name not in self._models:
            self._unwanted.add(name)
            return
        self._unwanted.discard(name)
        for resident in users:
            self._send_back(resident)
        self._models.pop(name).unload()
        gc.collect()
        torch.cuda.empty_cache()

    def _upscale(self) -> Upscaler:
        if self._upscaler is None:
            self._upscaler = Upscaler.load(device=str(self._device))
            network = self._upscaler.network
            component = self._memory.component("upscaler", network)
            InterceptionPoint("upscaler", network, "forward", component=component)
        return self._upscaler

    def _segment(self) -> AlphaEstimator:
        """Return what cuts out. Raises ModelNotLoaded."""
        if self._segmenter is None:
            device = str(self._device)
            source = self._setup.cutout
            self._segmenter = ModelCutter(source, device) if source else Cutter.load(device)
            network = self._segmenter.network
            component = self._memory.component("segmenter", network)
            InterceptionPoint("segmenter", network, "forward", alone=bool(source), component=component)
        return self._segmenter

    # --- steps ---

    def _run(self, batch: Sequence[PictureRequest]) -> list[Any]:
        """Run one forward pass; return a result or an exception for each request of the batch."""
        key, rows = batch[0].key, sum(request.rows for request in batch)
        if (failed := self._bring(batch)) is not None:
            return [failed] * len(batch)
        results, seconds = self._clock.measure(lambda: run_joined(batch))
        self._costs.observe(key, rows, seconds)
        for request in batch:
            request.joined |= len(batch) > 1
            request.charge(seconds * request.rows / rows)
        self._turns.charge(batch, seconds)
        self._pulse.seconds += seconds
        self._pulse.passes += 1
        self._pulse.rows += rows
        return results

    def _bring(self, batch: Sequence[PictureRequest]) -> OutOfMemory | None:
        """Bring the module's weights to the card before the pass is measured: nobody is charged for that."""
        call = batch[0].call
        assert call is not None
        try:
            call.point.bring([each.call for each in batch if each.call is not None])
        except OutOfMemory as error:
            return error
        return None

    def _change(self, request: PictureRequest) -> float:
        """Return the seconds that a request's pass costs by what leaves the card for it and must come back.

        Nothing where only components leave that no call waits for.
        """
        call = request.call
        assert call is not None
        leaving = call.point.leaving(call)
        if not leaving or call.point.component is None:
            return 0.0
        if self._wanted.isdisjoint(map(id, leaving)):
            return 0.0
        return self._memory.pace.seconds(call.point.component.size + sum(each.size for each in leaving))

    def _hand_back(self, batch: Sequence[PictureRequest], results: Sequence[Any]) -> None:
        for request, result in zip(batch, results, strict=True):
            if not request.ended:  # a sibling's failure may have ended it meanwhile
                self._go_on(request, result)
        for resident in {id(request.resident): request.resident for request in batch}.values():
            self._report(resident)

    def _go_on(self, request: PictureRequest, result: Any) -> None:
        """Let a request run until its next shared call, or to its end; at first, from its beginning."""
        waited = request.call is not None
        resume = request.fail_call if isinstance(result, Exception) else request.resume
        request.failed_pass = result if isinstance(result, Exception) else None
        _, seconds = self._clock.measure(lambda: resume(result))
        request.calls += waited
        request.charge(seconds)
        self._pulse.seconds += seconds
        if not waited and not request.ended:
            self._turns.add(request)
        if waited or not request.ended:
            self._turns.bill(request, seconds)
        if waited and request.ended:
            self._turns.remove(request)
        if request.ended:
            self._finish(request)

    def _finish(self, request: PictureRequest) -> None:
        resident = request.resident
        if resident.job.id in self._residents:
            if request.error is not None:
                in_pass = request.error is request.failed_pass
                self._fail(resident, _as_engine_error(request.error, in_pass=in_pass))
            elif not torch.isfinite(request.result).all():
                self._fail(resident, InvalidPicture(f"picture {request.index} holds no numbers"))
            else:
                self._show(request)
        self._next_apart(request)

    def _show(self, request: PictureRequest) -> None:
        resident, result = request.resident, request.result
        pixels, request.result = pipelines.as_bytes(result), None
        picture = Picture(
            job=resident.job.id,
            index=request.index,
            seed=resident.job.request.seed_of(request.index if request.painted else 0),
            width=pixels.shape[1],
            height=pixels.shape[0],
            png=b"",
            joined=request.joined,
            parts=request.heard.parts,
            left_out=request.heard.left_out,
        )
        self._outbox.put_picture(picture, pixels, resident.job.request)
        if request.index == 0 and resident.job.request.sizes:
            self._make_sizes(resident, result)
        elif all(sibling.ended for sibling in resident.requests):
            del self._residents[resident.job.id]
            self._outbox.put(Finished(job=resident.job.id, device_seconds=resident.seconds))

    def _make_sizes(self, resident: Resident, painted: torch.Tensor) -> None:
        """Begin the sizes in which a picture that is painted now is delivered besides its own."""
        asked = resident.job.request
        model = self._model(asked.model)
        made = [
            PictureRequest(resident, model, index, partial(_sized, model, painted, size))
            for index, size in enumerate(asked.sizes, asked.count)
        ]
        resident.requests += made
        self._start(resident, made, model)

    def _fail(self, resident: Resident, error: EngineError) -> None:
        """End a job with all its pictures."""
        self._drop(resident, error)
        self._outbox.put(Failed(job=resident.job.id, error=error, device_seconds=resident.seconds))

    def _send_back(self, resident: Resident) -> None:
        """Send a job back to the queue, without its pictures so far."""
        self._outbox.put(self._progress(resident))  # what it has used is charged
        self._drop(resident, Cancelled(f"job {resident.job.id} makes room"))
        self._outbox.put(Restarted(job=resident.job.id, deaths=resident.job.deaths))

    def _drop(self, resident: Resident, error: EngineError) -> None:
        del self._residents[resident.job.id]
        for request in resident.requests:
            if not request.ended and request.call is not None:
                self._turns.remove(request)
                request.fail_call(error)
                self._next_apart(request)

    def _report(self, resident: Resident) -> None:
        now = time.monotonic()
        if resident.job.id not in self._residents or now - resident.reported < PROGRESS_SECONDS:
            return
        resident.reported = now
        event = self._progress(resident)
        previews = [request.preview for request in resident.requests]
        if resident.step <= resident.previewed or not any(each is not None for each in previews):
            self._outbox.put(event)
            return
        resident.previewed = resident.step
        self._outbox.put_preview(event, pipelines.as_bytes(pipelines.side_by_side(previews)))

    @staticmethod
    def _progress(resident: Resident) -> Progress:
        return Progress(
            job=resident.job.id,
            step=resident.step,
            steps=resident.steps,
            device_seconds=resident.seconds,
        )

    # --- what the parent shows of this worker ---

    def _send_pulse(self) -> None:
        """Send what was counted since the last time, if there is any news."""
        sent = self._pulse.models, self._pulse.loading
        self._pulse.models, self._pulse.loading = tuple(self._models), self._loader.loading
        if self._pulse.seconds or (self._pulse.models, self._pulse.loading) != sent:
            self._outbox.put(self._pulse)
            self._pulse = Pulse(models=self._pulse.models, loading=self._pulse.loading)
        self._pulsed = time.monotonic()


def _loras(folder: str) -> loras.Loras:
    """Return the LoRAs of a folder; none where it is gone since the parent has read it."""
    try:
        return loras.read(folder)
    except LoraUnusable as error:
        _log.error("LoRAs cannot be used: %s", error)
        return loras.Loras()


def _guides(controlnets: str, ip_adapters: str) -> guides.Guides:
    """Return the guides of two folders; none where one is gone since the parent has read it."""
    try:
        return guides.read(controlnets, ip_adapters)
    except GuideUnusable as error:
        _log.error("guides cannot be used: %s", error)
        return guides.Guides()


def _further(request: GenerationRequest) -> set[str]:
    """Return the names of all weights that a request wants besides its model."""
    return {each.name for each in request.loras} | {guide_name(each.by) for each in request.guides}


def _sized(
    model: pipelines.Loaded, painted: torch.Tensor, size: NamedSize, _request: PictureRequest
) -> torch.Tensor:
    return pipelines.sized(model, painted, (size.width, size.height))


def _as_engine_error(error: BaseException, *, in_pass: bool = False) -> EngineError:
    """Return a pipeline's error as one to show people; a failed forward pass is never a bad request."""
    if isinstance(error, Exception):
        error = translate_memory_error(error)
    if isinstance(error, EngineError):
        return error
    refused = isinstance(error, ValueError | TypeError) and not in_pass
    kind = InvalidRequest if refused else EngineError
    return kind(f"{type(error).__name__}: {error}")


class Outbox:
    """Sends events from a thread of its own, and encodes pictures there."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._queue: queue.SimpleQueue[Callable[[], Report] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def put(self, event: Report) -> None:
        self._queue.put(lambda: event)

    def put_picture(self, picture: Picture, pixels: torch.Tensor, request: GenerationRequest) -> None:
        def encoded() -> EngineEvent:
            try:
                png = pipelines.encode_png(pixels)
                if not request.lettering:
                    return replace(picture, png=png)
                lettered = pipelines.encode_lettered(pixels, request, picture.index)
                return replace(picture, png=lettered, plain=png)
            except Exception as error:
                return Failed(job=picture.job, error=_as_engine_error(error), device_seconds=0.0)

        self._queue.put(encoded)

    def put_preview(self, progress: Progress, pixels: torch.Tensor) -> None:
        self._queue.put(lambda: replace(progress, preview=pipelines.encode_preview(pixels)))

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join(timeout=5)

    def _run(self) -> None:
        """Send queued events until closed; end the worker when one cannot be sent."""
        try:
            while (event := self._queue.get()) is not None:
                self._connection.send(event())
        except OSError:
            os._exit(1)  # the parent is gone
        except Exception:
            _log.exception("events can no longer be sent")
            os._exit(1)


def main(setup: Setup, orders: Connection, events: Connection, heartbeat: Heartbeat) -> None:
    """Run the worker process until its orders end."""
    logging.basicConfig(level=logging.WARNING)
    pipelines.silence_libraries()
    if setup.device == "cpu":
        os.nice(5)  # the studio's acknowledgements come before the next step
    if torch.device(setup.device) in cards():
        torch.cuda.set_device(setup.device)  # libraries that are told of no device take this one
    outbox = Outbox(events)
    WorkerLoop(setup, orders, outbox, heartbeat).run()
    outbox.close()
