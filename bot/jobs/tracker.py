"""Follows what the engine does with each unfinished job, and writes it down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import structlog

from bot import moderation, telemetry
from bot.describing.judging import Judging
from bot.errors import StoreError, StoreInUse
from bot.i18n import _, join
from bot.images import pictures
from bot.images.blobs import BlobStore
from bot.jobs.live import LiveJob, LiveJobs
from bot.messages.types import GRID
from bot.models import Chosen, Job, State, StoredPicture, Tier
from bot.moderation import ImageClassifier, Withheld
from bot.options import clip
from bot.provenance.stamp import Stamped
from bot.store import Store
from engine.errors import Cancelled, EngineError
from engine.types import (
    Engine,
    EngineEvent,
    EngineJob,
    Failed,
    Finished,
    Loading,
    Picture,
    Progress,
    QueuePosition,
    Restarted,
    Started,
)

log = structlog.stdlib.get_logger(__name__)

LONGEST_DELAY = 30.0  # seconds between two attempts to write something down
TRIES = 6  # of writing down an event that fails for no known reason, before the process ends itself
LOOKS = 20  # queue positions looked up each second

Stamp = Callable[[Job, bytes, int, int], Awaitable[Stamped]]
"""A PNG of the job, with its index and seed, as it is delivered."""


class JobTracker:
    """The unfinished jobs by id (`lives`), and one writer task for each that has something to write.

    What cannot be written is tried again for that job alone; events of a job that has ended are ignored. No
    event is dropped: after an error of no known cause `give_up` is called with the reason, and ends the
    process. `show` is called with a job after each change of it. `holds` returns whether a waiting job may
    not start. `classifier` examines every picture and preview before it is shown, by the `rules` that hold
    for the job. `judging` chooses the picture that is kept where only the best is. `stamp` gives pictures
    their provenance before they are stored.
    """

    def __init__(
        self,
        *,
        lives: LiveJobs,
        engine: Engine,
        store: Store,
        blobs: BlobStore,
        show: Callable[[Job], None],
        classifier: ImageClassifier,
        judging: Judging,
        rules: Callable[[Job], Awaitable[moderation.ModerationRules]],
        stamp: Stamp,
        holds: Callable[[Job], bool] = lambda job: False,
        give_up: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._give_up = give_up
        self.lives = lives
        self._classifier = classifier
        self._judging = judging
        self._rules = rules
        self._stamp = stamp
        self._preview_check: asyncio.Task[None] | None = None  # one preview is checked at a time
        self._holds = holds
        self._engine = engine
        self._store = store
        self._blobs = blobs
        self._show = show
        self._losses = 0  # workers lost that were counted
        self._loading: dict[str, Loading] = {}  # models that are being loaded, by name
        self._writers: set[asyncio.Task[None]] = set()  # also of jobs that were ended meanwhile
        self._writing: dict[type[EngineEvent], Callable[[LiveJob, Any], Awaitable[None]]] = {
            Started: self._started,
            Restarted: self._restarted,
            Picture: self._picture,
            Finished: self._finished,
            Failed: self._failed,
        }

    def begin(self, job: Job, tier: Tier | None = None, *, home: str = "", control: bytes = b"") -> None:
        """Submit an admitted job to the engine; `home` is the tenant of its account's lane.

        `control` is what is shown of its control picture until there is a preview, as WebP.
        """
        telemetry.JOBS.labels(job.state.value, job.origin.surface).inc()
        life = self.lives[job.id] = LiveJob(job, tier, control=control)
        try:
            life.position = life.shown = self._engine.submit(engine_job(job, tier, home))
            self._keep_back(life)
        except EngineError as error:
            self._put(life, Failed(job=job.id, error=error, device_seconds=0.0))
        self._show(job)

    def resume(self, jobs: Sequence[tuple[Job, Tier, str]]) -> None:
        """Submit jobs of a former process, each with its tier and home, to the engine, before all newer ones.

        A message is left to `refresh`, which shows a few each second, unless it is missing or told of steps.
        """
        refused = self._engine.resume([engine_job(*each) for each in jobs])
        for job, tier, _home in jobs:
            life = self.lives[job.id] = LiveJob(job, tier)
            if error := refused.get(job.id):
                self._put(life, Failed(job=job.id, error=error, device_seconds=0.0))
            else:
                self._keep_back(life)
            if job.started or not job.message:
                self._show(job)

    def _keep_back(self, life: LiveJob) -> None:
        if self._holds(life.job) and self._engine.hold(life.job.id):
            life.position = life.shown = None

    def relaxed(self, id: str) -> None:
        """Relax a job in the engine and on its card, once its row says that it is free and goes last."""
        if (life := self.lives.get(id)) and self._engine.relax(id):
            life.job = replace(life.job, relaxed=True)
            self._show(life.job)

    async def gather(self, names: Collection[str], account: str, home: str) -> None:
        """Move the jobs of these members to the account that they share, in the tenant `home`."""
        async for life in self.lives.each():
            if life.job.origin.member.id in names:
                life.job = replace(life.job, account=account)
                self._engine.move(life.job.id, home, account)

    def finish(self, job: Job) -> None:
        """Stop tracking a job whose row says that it has ended, count it, and show its end."""
        if self.lives.pop(job.id, None):
            telemetry.JOBS.labels(job.state.value, job.origin.surface).inc()
            telemetry.DEVICE_SECONDS.labels(job.request.model).inc(job.device_seconds)
            log.info("job ended", job_id=job.id, state=job.state.value, device_seconds=job.device_seconds)
        self._show(job)

    async def run(self) -> None:
        """Follow the engine until it is closed, then write down what is left."""
        async for event in self._engine.events():
            life = self.lives.get(event.job)
            if life is None:
                continue  # the job has ended
            if isinstance(event, Progress):
                self._progress(life, event)
            else:
                self._put(life, event)
        await asyncio.gather(*self._writers)

    async def close(self) -> None:
        """Stop writing; what is not written is painted again after the next start."""
        writers = [*self._writers, *((self._preview_check,) if self._preview_check else ())]
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
        await self._classifier.close()
        await self._judging.close()

    def _progress(self, life: LiveJob, event: Progress) -> None:
        """Show a job's progress; check a preview before it is shown, and skip those that come meanwhile."""
        checking = self._classifier.busy or not (self._preview_check is None or self._preview_check.done())
        if event.preview and not checking:
            self._preview_check = asyncio.create_task(self._show_preview(life, event.preview))
        life.advance(replace(event, preview=None))
        self._show(life.job)

    async def _show_preview(self, life: LiveJob, preview: bytes) -> None:
        try:
            adult = await self._inspect(life.job, preview)
        except (EngineError, StoreError) as error:
            log.warning("preview is not shown", job_id=life.job.id, cause=str(error))
            return
        if life.progress and not adult:
            life.progress = replace(life.progress, preview=preview)
            self._show_living(life)

    async def _inspect(self, job: Job, picture: bytes) -> bool:
        """Tell whether a picture is for age-restricted channels alone. Raises EngineError, StoreError."""
        with _readable():
            seen = await self._classifier.look(picture)
        if seen.harmless:
            return False
        rules = await self._rules(job)
        words = (job.prompt, job.request.prompt)
        verdict = await asyncio.to_thread(moderation.judge, words, rules=rules)
        rating = moderation.rate(seen, rules, minors=verdict.minors)
        if not rating.shown:
            telemetry.REFUSED.labels("picture").inc()
            raise Withheld(f"explicit {seen.explicit:.2f}, suggestive {seen.suggestive:.2f}")
        return rating.adult

    async def refresh(self) -> None:
        """Show waiting jobs anew when they have moved; each second looks at a few of them only."""
        while True:
            waiting = await self._waiting()
            telemetry.WAITING.set(len(waiting))
            self._count_losses()
            for start in range(0, max(1, len(waiting)), LOOKS):
                await self._follow_loading()
                for id in waiting[start : start + LOOKS]:
                    self._look_up(id)
                    await asyncio.sleep(0)  # each look goes through all lanes
                await asyncio.sleep(1)

    async def _follow_loading(self) -> None:
        """Show the jobs inside that wait for their model, when more of it has come."""
        before = self._loading
        workers = self._engine.status().workers
        self._loading = {each.loading.model: each.loading for each in workers if each.loading}
        if not before and not self._loading:
            return
        async for life in self.lives.each():
            if life.job.state is State.RUNNING and life.progress is None and self._note_loading(life):
                self._show(life.job)

    def _note_loading(self, life: LiveJob) -> bool:
        """Note what is known of a job's model that is being loaded; return whether that is news."""
        before, life.loading = life.loading, self._loading.get(life.job.request.model)
        return life.loading != before

    async def _waiting(self) -> list[str]:
        """Return the ids of the waiting jobs."""
        return [life.job.id async for life in self.lives.each() if life.job.state is State.QUEUED]

    def _count_losses(self) -> None:
        """Update the metrics of lost workers from the engine, as one worker may take many jobs with it."""
        state = self._engine.status()
        lost = state.restarts
        telemetry.OUT.set(len(state.out))
        telemetry.DEATHS.inc(lost - self._losses)
        self._losses = lost

    def _look_up(self, id: str) -> None:
        life = self.lives.get(id)
        if life is None or (position := self._engine.position(id)) is None:
            return
        life.position = position
        if self._note_loading(life) or life.shown is None or moved(life.shown, position):
            life.shown = position
            self._show(life.job)

    def _show_living(self, life: LiveJob) -> None:
        """Show a job unless it has ended meanwhile: its end would be shown no more."""
        if self.lives.get(life.job.id) is life:
            self._show(life.job)

    # ---- writing down

    def _put(self, life: LiveJob, event: EngineEvent) -> None:
        life.events.append(event)
        if life.writer is None or life.writer.done():
            life.writer = asyncio.create_task(self._write(life), name=f"writer-{life.job.id}")
            self._writers.add(life.writer)
            life.writer.add_done_callback(self._writers.discard)

    async def _write(self, life: LiveJob) -> None:
        delay, tries = 0.25, 0
        while life.events and self.lives.get(life.job.id) is life:
            event = life.events[0]
            try:
                await self._writing[type(event)](life, event)
            except StoreInUse as error:
                self._give_up(str(error))
                return
            except EngineError as error:  # reported before a Finished that is behind it in the list
                self._engine.cancel(event.job)
                life.events.insert(1, Failed(job=event.job, error=error, device_seconds=0.0))
            except Exception as error:
                tries += not isinstance(error, StoreError)
                log.error(
                    "event not saved yet",
                    job_id=life.job.id,
                    cause=_told(error),
                    after=delay,
                )
                if tries == TRIES:
                    what = type(event).__name__
                    self._give_up(f"{what} of job {life.job.id} cannot be written down: {_told(error)}")
                    return
                await asyncio.sleep(delay)
                delay = min(LONGEST_DELAY, 2 * delay)
                continue
            del life.events[0]
            delay, tries = 0.25, 0

    async def _started(self, life: LiveJob, event: Started) -> None:
        await self._store.started(event.job)
        life.job = replace(life.job, state=State.RUNNING)
        self._show_living(life)

    async def _restarted(self, life: LiveJob, event: Restarted) -> None:
        log.warning("job waits again: its worker was lost", job_id=event.job, deaths=event.deaths)
        await self._store.died(event.job, event.deaths)
        life.restart()
        life.job = replace(life.job, state=State.QUEUED, deaths=event.deaths)
        self._keep_back(life)
        self._show_living(life)

    async def _picture(self, life: LiveJob, event: Picture) -> None:
        if event.index in _stored(life.job):
            return  # from before a restart
        try:
            adult = await self._inspect(life.job, event.png)
        except Withheld as error:
            self._engine.cancel(event.job)
            await self._failed(life, Failed(job=event.job, error=error, device_seconds=0.0))
            return
        await self._note_prompt(life, event)
        await self._keep(life, event, adult)

    async def _note_prompt(self, life: LiveJob, event: Picture) -> None:
        """Write down what became of a prompt that is longer than the model's encoder takes."""
        told = _encoded(event)
        if told and told not in life.job.note:
            note = join(" ", (told, life.job.note))
            await self._store.noted(event.job, note)
            life.job = replace(life.job, note=note)

    async def _finished(self, life: LiveJob, event: Finished) -> None:
        job = life.job
        missing = job.request.delivered - sum(index >= 0 for index in _stored(job))
        if missing > 0:
            error = EngineError(f"{missing} of {job.request.delivered} pictures are missing")
            await self._failed(life, Failed(job=job.id, error=error, device_seconds=event.device_seconds))
            return
        chosen = await self._chosen(job) if job.request.best > 1 else None
        if job.request.delivered > 1 and chosen is None and GRID not in _stored(job):
            await self._keep_grid(life)
        ended, _ = await self._store.end(
            job.id, State.RENDERED, device_seconds=event.device_seconds, chosen=chosen
        )
        self.finish(ended)

    async def _chosen(self, job: Job) -> Chosen:
        """Return the index of the picture that is closest to the prompt, and the job's note."""
        infos = {model.name: model for model in self._engine.models()}
        model = infos.get(job.request.model)
        with _readable():
            found = [await self._blobs.get(each.unlettered) for each in job.singles]
        choice = await self._judging.choose(job.id, job.prompt, found, model.judge if model else "")
        return Chosen(job.singles[choice.place].index, join(" ", (job.note, choice.note)))

    async def _failed(self, life: LiveJob, event: Failed) -> None:
        cancelled = isinstance(event.error, Cancelled)
        if not cancelled:
            log.warning(
                "job failed", job_id=event.job, cause=str(event.error), kind=type(event.error).__name__
            )
        state = State.CANCELLED if cancelled else State.FAILED
        ended, _ = await self._store.end(
            event.job,
            state,
            device_seconds=event.device_seconds,
            reason="" if cancelled else event.error.advice,
        )
        self.finish(ended)

    async def _keep_grid(self, life: LiveJob) -> None:
        singles = life.job.singles
        with _readable():
            sheet = await pictures.grid([await self._blobs.get(each.blob) for each in singles])
            width, height = pictures.png_size(sheet)
        adult, seed = any(each.adult for each in singles), life.job.request.seed
        whole = Picture(job=life.job.id, index=GRID, seed=seed, width=width, height=height, png=sheet)
        await self._keep(life, whole, adult)

    async def _keep(self, life: LiveJob, painted: Picture, adult: bool) -> None:
        with _readable():
            stamped = await self._stamp(life.job, painted.png, painted.index, painted.seed)
            plain = painted.plain and await self._stamp(life.job, painted.plain, painted.index, painted.seed)
        picture = StoredPicture(
            index=painted.index,
            blob=await self._blobs.put(stamped.png, ".png"),
            seed=painted.seed,
            width=painted.width,
            height=painted.height,
            adult=adult,
            fingerprint=stamped.fingerprint,
            joined=painted.joined,
            plain=await self._blobs.put(plain.png, ".png") if plain else "",
        )
        if await self._store.add_picture(life.job.id, picture):
            life.job = replace(life.job, pictures=(*life.job.pictures, picture))


def _encoded(event: Picture) -> str:
    """Return what is told of a prompt that is longer than the model's encoder takes; else nothing."""
    if event.left_out:
        return _(
            "The model reads only the beginning of this prompt. Left out: “{words}”.",
            words=clip(event.left_out, 200),
        )
    if event.parts > 1:
        return _(
            "The prompt is longer than the model reads at once, so it was read in {count} parts.",
            count=event.parts,
        )
    return ""


@contextmanager
def _readable() -> Iterator[None]:
    """Raise EngineError where something is wrong with a picture: trying again would not help.

    What cannot be saved, and exhausted memory, are another matter.
    """
    try:
        yield
    except (StoreError, EngineError, MemoryError):
        raise
    except Exception as error:
        raise EngineError(f"a picture cannot be read: {error!r}") from error


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, StoreError) else repr(error)


def engine_job(job: Job, tier: Tier | None = None, home: str = "") -> EngineJob:
    """Convert a job to what the engine needs, without names and chat."""
    member = job.origin.member
    return EngineJob(
        id=job.id,
        request=job.request,
        tenant=home or member.tenant,
        user=job.account or member.id,
        user_weight=tier.weight if tier else 1.0,
        cost=job.estimate,
        deaths=job.deaths,
        relaxed=job.relaxed,
        running=tier.running if tier else None,
        done=frozenset(_stored(job)),
    )


def moved(before: QueuePosition, now: QueuePosition) -> bool:
    """Tell whether a position is worth showing anew: its number or wait is off by more than a fifth."""
    by = abs(now.number - before.number)
    return by > before.number / 5 or abs(now.wait - before.wait) > max(1.0, before.wait / 5)


def _stored(job: Job) -> set[int]:
    return {picture.index for picture in job.pictures}
