"""The workflow: understand a command or a press, admit a job, follow it, deliver it.

Platform-neutral. Adapters pass in what people did and get back an answer; a job's own message is posted and
edited by the courier.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog

from bot import actions, admission, card, commands, pictures, presets, prompt, telemetry
from bot.actions import Action
from bot.adapters.base import ChatAdapter
from bot.blobs import BlobStore
from bot.card import Card, Form
from bot.commands import Completes, Unusable
from bot.courier import Courier
from bot.errors import Refusal, StoreError
from bot.follower import Follower
from bot.models import Balance, Job, Member, Origin, Preferences, State, new_id
from bot.presets import NO_STYLE
from bot.prompt import Draft, Source
from bot.settings import Settings
from bot.store import Store
from engine.errors import EngineError
from engine.types import SEED_LIMIT, Engine, GenerationRequest, Lane, Place

log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")

ANCESTORS = 10  # generations that a job's info names
SWEEP_AGE = 600.0  # seconds after which a file that no job needs may go
SWEEP_PAUSE = 3600.0  # seconds between two looks for such files
LAST_WORDS = 5.0  # seconds in which ends that are owed may still be shown when the studio closes


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A job was accepted; its message lives on its own through the adapter's `post` and `edit`."""

    job: Job
    place: Place | None


Answer = Card | Form | Receipt


class Studio:
    """The one door for what people do. Every answer is for the person who asked."""

    def __init__(self, *, settings: Settings, store: Store, engine: Engine, blobs: BlobStore) -> None:
        self._settings = settings
        self._store = store
        self._engine = engine
        self._blobs = blobs
        self._courier = Courier(store, self.card)
        self._follower = Follower(engine=engine, store=store, blobs=blobs, show=self._courier.show)
        self._tasks: list[asyncio.Task[None]] = []
        self._answers: set[asyncio.Task[Any]] = set()
        self._open = False
        self._commands: dict[str, Callable[[dict[str, Any], Origin], Awaitable[Card | Receipt]]] = {
            "upscale": self._upscale,
            "vary": self._vary,
            "queue": self._queue,
            "cancel": self._cancel_one,
            "history": self._history,
            "show": self._show,
            "quota": self._quota,
            "styles": self._styles,
            "settings": self._change_settings,
            "help": self._help,
        }
        self._presses: dict[actions.Name, Callable[[Action, Job, Origin], Awaitable[Answer]]] = {
            **dict.fromkeys(actions.DERIVING, self._derive),
            "edit": self._edit,
            "info": self._info,
            "pick": self._pick,
            "show": self._show_again,
            "cancel": self._cancel,
            "delete": self._delete,
        }

    def add(self, adapter: ChatAdapter) -> None:
        """Let a surface show messages. Before `start`, or its undelivered ends wait for the next one."""
        self._courier.add(adapter)

    async def start(self) -> None:
        """Start the engine, and go on where the last process stopped."""
        await self._engine.start()
        await self._warm()
        self._tasks = [
            asyncio.create_task(self._follower.run(), name="follower"),
            asyncio.create_task(self._follower.refresh(), name="refresh"),
            asyncio.create_task(self._keep_swept(), name="sweep"),
        ]
        await self._recover()
        self._open = True

    async def close(self, drain: float = 0.0) -> None:
        """Take nothing more, give what runs `drain` seconds; the rest runs after the next start."""
        self._open = False
        if not self._tasks:
            return
        follower, *helpers = self._tasks
        for helper in helpers:
            helper.cancel()
        if self._answers:
            await asyncio.wait(self._answers, timeout=LAST_WORDS)
        await self._engine.close(drain)
        await asyncio.wait({follower}, timeout=LAST_WORDS)
        follower.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._follower.close()
        await self._courier.close(LAST_WORDS)

    # ---- the door

    async def handle(
        self, command: str, options: Mapping[str, object], origin: Origin, *, parent: str = ""
    ) -> Card | Receipt:
        """Do what a command asks. `options`: name → value as typed; a picture may be its bytes.

        `parent` is the job whose form is answered. Raises Refusal.
        """
        return await self._answer(self._handle(command, dict(options), origin, parent))

    async def press(self, button: str, origin: Origin) -> Answer:
        """Do what a button stands for, however old its card is. Raises Refusal."""
        return await self._answer(self._press(button, origin))

    async def _answer(self, work: Coroutine[Any, Any, T]) -> T:
        """Work that goes on even if the adapter stops waiting: what is admitted must reach the engine."""
        if not self._open:
            work.close()
            raise Refusal("Easel is stopping or starting. Try again in a minute.", code="busy")
        task = asyncio.create_task(work)
        self._answers.add(task)
        task.add_done_callback(self._answered)
        try:
            return await asyncio.shield(task)
        except StoreError as error:
            log.error("not saved", cause=str(error))
            notice = "Easel cannot save anything at the moment, so nothing was done. Try again in a minute."
            raise Refusal(notice, code="store") from error
        except EngineError as error:
            raise Refusal(error.advice, code="engine") from error

    def _answered(self, task: asyncio.Task[Any]) -> None:
        self._answers.discard(task)
        if not task.cancelled():
            task.exception()  # taken, so that an adapter that no longer waits leaves no warning

    async def _handle(
        self, name: str, options: dict[str, Any], origin: Origin, parent: str
    ) -> Card | Receipt:
        if name == "imagine":
            return await self._imagine(options, origin, parent)
        checked = commands.check(name, options)
        return await self._commands[name](checked, origin)

    async def _press(self, button: str, origin: Origin) -> Answer:
        action = actions.parse(button)
        if action.name == "try":
            return await self._imagine({"prompt": action.text}, origin, "")
        job = await self.job(action.job, origin.member)
        return await self._presses[action.name](action, job, origin)

    # ---- what adapters ask

    async def job(self, id: str, member: Member) -> Job:
        """Raises Refusal if it is unknown, deleted, of another tenant, or private to someone else."""
        job = await self._store.job(id)
        if job is None or not _may_see(job, member):
            raise Refusal(f"There is no job {commands.clip(id)} here. /history lists them.", code="unknown")
        if job.state is State.DELETED:
            raise Refusal("Those pictures were deleted.", code="deleted")
        return job

    async def jobs(self, member: Member, **filters: Any) -> list[Job]:
        """`Store.jobs`, as far as the member may see them."""
        return await self._store.jobs(member.tenant, viewer=member.id, **filters)

    def card(self, job: Job) -> Card:
        """The job's present card."""
        life = self._follower.lives.get(job.id)
        job = life.job if life else job
        match job.state:
            case State.QUEUED:
                return card.waiting(job, life.place, life.balance) if life else card.waiting(job)
            case State.RUNNING:
                return card.painting(job, life.progress, life.left) if life else card.painting(job)
            case State.RENDERED:
                return card.done(job)
            case State.FAILED:
                return card.failed(job)
            case State.CANCELLED:
                return card.cancelled(job)
            case State.DELETED:
                return card.deleted(job)

    def line(self) -> tuple[Lane, ...]:
        """Everybody who waits or paints, in the order of their turns."""
        return self._engine.line()

    def living(self, ids: Iterable[str]) -> dict[str, Job]:
        """Those of the jobs that wait or paint, from memory. Who may see them is for the caller to say."""
        lives = self._follower.lives
        return {id: lives[id].job for id in ids if id in lives}

    async def picture(self, blob: str) -> bytes:
        """Raises KeyError when there is no such picture, StoreError when it cannot be read."""
        return await self._blobs.get(blob)

    async def sweep(self, older_than: float = SWEEP_AGE) -> None:
        """Remove files that no job needs and that are older than so many seconds. Raises StoreError."""
        if removed := await self._blobs.sweep(await self._store.blobs(), older_than):
            log.info("files that no job needs were removed", files=removed)

    async def complete(self, source: Completes, typed: str, member: Member) -> list[tuple[str, str]]:
        """What may follow while someone types an option: (value, label), at most 25."""
        wanted = typed.casefold()
        found = await self._choices(source, member)
        return [choice for choice in found if wanted in " ".join(choice).casefold()][:25]

    async def _choices(self, source: Completes, member: Member) -> list[tuple[str, str]]:
        known = presets.load()
        match source:
            case "styles":
                return [(style.name, style.label) for style in known.styles.values()]
            case "aspects":
                return [(ratio, f"{name.capitalize()} {ratio}") for name, ratio in known.aspects.items()]
            case "models":
                return [(model.name, model.title) for model in self._engine.models()]
            case "commands":
                return [(each.name, each.help) for each in commands.COMMANDS]
            case "jobs":
                recent = await self.jobs(member, user=member.id, limit=50)
                return [(job.id, commands.clip(job.prompt, 60)) for job in recent]
        return []

    # ---- asking for pictures

    async def _imagine(self, options: dict[str, Any], origin: Origin, parent: str) -> Receipt:
        draft = prompt.parse(str(options.pop("prompt", "")), options)
        models, max_count = self._engine.models(), self._settings.max_count
        preferences = await self._store.preferences(origin.member.id)
        draft = prompt.with_defaults(draft, preferences, models, max_count=max_count)
        if parent:
            await self.job(parent, origin.member)
        source, data = await self._source(draft.source, origin.member)
        request = prompt.compose(draft, models, max_count=max_count, source=source)
        if data:
            request = replace(request, source=await self._blobs.put(data, ".png"))
        private = origin.private or bool(draft.private) or (source is not None and source.private)
        return await self._submit(
            request,
            replace(origin, private=private),
            prompt=draft.prompt,
            style="" if draft.style == NO_STYLE else draft.style,
            parent=parent or None,
            action="edit" if parent else "imagine",
        )

    async def _source(self, named: str | bytes, member: Member) -> tuple[Source | None, bytes]:
        """The picture to start from: a stored one, or a new one as PNG bytes that are not stored yet."""
        if isinstance(named, bytes):
            png = await pictures.open_source(named, max_bytes=self._settings.max_source_bytes)
            width, height = pictures.png_size(png)
            return Source(blob="", width=width, height=height), png
        if not named:
            return None, b""
        id, _, which = named.partition(":")
        job = await self.job(id, member)
        if which == "source":
            if job.request.source is None:
                raise Refusal(f"Job {job.id} did not start from a picture.", code="no_picture")
            blob, width, height = job.request.source, job.request.width, job.request.height
        else:
            chosen = actions.picture(job, int(which or 1) - 1)
            blob, width, height = chosen.blob, chosen.width, chosen.height
        return Source(blob=blob, width=width, height=height, private=job.origin.private), b""

    async def _derive(self, action: Action, parent: Job, origin: Origin) -> Receipt:
        request = actions.derive(action, parent, secrets.randbelow(SEED_LIMIT))
        return await self._submit(
            replace(request, count=min(request.count, self._settings.max_count)),
            replace(origin, private=origin.private or parent.origin.private),
            prompt=parent.prompt,
            style=parent.style,
            parent=parent.id,
            parent_index=action.index,
            action=action.name,
        )

    async def _submit(self, request: GenerationRequest, origin: Origin, **more: Any) -> Receipt:
        """Admit a job and hand it to the engine, once for each event of the platform."""
        estimate = self._engine.estimate(request)
        balance = await self._balance(origin.member)
        wanted = Job(
            id=new_id(),
            origin=origin,
            request=request,
            estimate=estimate,
            created=datetime.now(UTC),
            **more,
        )
        job, new = await admission.admit(
            self._store, wanted, settings=self._settings, models=self._engine.models()
        )
        if not new:
            return Receipt(job=job, place=self._engine.place(job.id))
        # No await from here on: what is admitted reaches the engine.
        telemetry.JOBS.labels(job.state.value, origin.surface).inc()
        log.info("job accepted", job_id=job.id, action=job.action, estimate=round(estimate, 2))
        balance = replace(balance, used=balance.used + estimate)
        return Receipt(job=job, place=self._follower.begin(job, balance))

    async def _balance(self, member: Member) -> Balance:
        return await self._store.balance(admission.account_of(member), cap=self._settings.daily_seconds)

    # ---- commands

    async def _upscale(self, options: dict[str, Any], origin: Origin) -> Receipt:
        return await self._of_picture("upscale", options, origin)

    async def _vary(self, options: dict[str, Any], origin: Origin) -> Receipt:
        strong = options.get("strength") == "strong"
        return await self._of_picture("vary_strong" if strong else "vary_subtle", options, origin)

    async def _of_picture(self, name: actions.Name, options: dict[str, Any], origin: Origin) -> Receipt:
        job = await self.job(options["job"], origin.member)
        return await self._derive(
            Action(name=name, job=job.id, index=options.get("picture", 1) - 1), job, origin
        )

    async def _queue(self, options: dict[str, Any], origin: Origin) -> Card:
        lives = self._follower.lives
        visible = {id: life.job for id, life in lives.items() if _may_see(life.job, origin.member)}
        return card.queue(self.line(), visible, origin.member)

    async def _cancel_one(self, options: dict[str, Any], origin: Origin) -> Card:
        member = origin.member
        if "job" in options:
            job = await self.job(options["job"], member)
        else:
            mine = await self.jobs(member, user=member.id, states=(State.QUEUED, State.RUNNING), limit=1)
            if not mine:
                raise Refusal("You have no job that waits or paints.", code="ended")
            job = mine[0]
        return await self._cancel(Action(name="cancel", job=job.id), job, origin)

    async def _history(self, options: dict[str, Any], origin: Origin) -> Card:
        search = options.get("search", "")
        style = _style(options["style"]) if "style" in options else ""
        user = "" if options.get("everyone") else origin.member.id
        found = await self.jobs(
            origin.member, user=user, search=search, style=style, states=(State.RENDERED,), limit=10
        )
        return card.history(found, search=search)

    async def _show(self, options: dict[str, Any], origin: Origin) -> Card:
        return self.card(await self.job(options["job"], origin.member))

    async def _quota(self, options: dict[str, Any], origin: Origin) -> Card:
        balance = await self._balance(origin.member)
        ordinary = prompt.compose(
            Draft(prompt="a picture", count=1), self._engine.models(), max_count=self._settings.max_count
        )
        cost = self._engine.estimate(ordinary)
        return card.quota(balance, datetime.now(UTC), int(balance.left / cost) if cost else 0)

    async def _styles(self, options: dict[str, Any], origin: Origin) -> Card:
        return card.styles()

    async def _change_settings(self, options: dict[str, Any], origin: Origin) -> Card:
        person = origin.member.id
        before = await self._store.preferences(person)
        reset = options.pop("reset", False)
        changes = {name: self._preference(name, value) for name, value in options.items()}
        after = replace(Preferences() if reset else before, **changes)
        if after != before:
            await self._store.save_preferences(person, after)
        return card.settings(after)

    def _preference(self, name: str, value: Any) -> Any:
        match name:
            case "style":
                return _style(value)
            case "aspect":
                return _read(prompt.read_aspect, value)
            case "model":
                return prompt.choose_model(Draft(prompt="", model=value), self._engine.models()).name
            case "count" if value > self._settings.max_count:
                raise Refusal(f"{self._settings.max_count} pictures at once are allowed.", code="count")
        return value

    async def _help(self, options: dict[str, Any], origin: Origin) -> Card:
        name = options.get("command", "")
        return card.help(commands.command(name.strip().lstrip("/").casefold()) if name else None)

    # ---- presses

    async def _edit(self, action: Action, job: Job, origin: Origin) -> Form:
        draft = prompt.recall(job, self._engine.models())
        return Form(command="imagine", title="Edit and paint again", values=prompt.said(draft), parent=job.id)

    async def _info(self, action: Action, job: Job, origin: Origin) -> Card:
        parents: list[Job] = []
        child = job
        with suppress(Refusal):  # an ancestor that was deleted ends the line
            while child.parent and len(parents) < ANCESTORS:
                child = await self.job(child.parent, origin.member)
                parents.append(child)
        text = prompt.render(prompt.recall(job, self._engine.models()))
        return card.info(job, parents, "" if job.request.upscale > 1 else text)

    async def _pick(self, action: Action, job: Job, origin: Origin) -> Card:
        return card.picked(job, actions.picture(job, action.index or 0).index)

    async def _show_again(self, action: Action, job: Job, origin: Origin) -> Card:
        return self.card(job)

    async def _cancel(self, action: Action, job: Job, origin: Origin) -> Card:
        _check_owner(job, origin.member, "cancel")
        if job.state.ended:
            raise Refusal("That job has ended already.", code="ended")
        self._engine.cancel(job.id)
        ended, first = await self._store.end(job.id, State.CANCELLED)
        if first:
            self._follower.finish(ended)
        return self.card(ended)

    async def _delete(self, action: Action, job: Job, origin: Origin) -> Card:
        _check_owner(job, origin.member, "delete")
        self._engine.cancel(job.id)
        gone = await self._store.delete(job.id)
        self._follower.finish(gone)
        return card.deleted(gone)  # its files are left to the sweep

    # ---- in the background

    async def _keep_swept(self) -> None:
        while True:
            try:
                await self.sweep()
            except StoreError as error:
                log.warning("files that no job needs are left", cause=str(error))
            await asyncio.sleep(SWEEP_PAUSE)

    # ---- starting

    async def _warm(self) -> None:
        """Let the engine estimate by what recent jobs took."""
        for request, seconds in reversed(await self._store.measured()):
            with suppress(EngineError):  # a model that is not offered any more
                self._engine.learn(request, seconds)

    async def _recover(self) -> None:
        """Run again what had not ended, with the same ids and seeds; show what ended and was not shown."""
        unfinished = await self._store.unfinished()
        for job in unfinished:
            if job.state is State.RUNNING:
                await self._store.died(job.id, job.deaths)
            self._follower.begin(replace(job, state=State.QUEUED))
        owed = await self._store.undelivered()
        for job in owed:
            self._courier.show(job)
        if unfinished or owed:
            log.info("going on where it stopped", unfinished=len(unfinished), undelivered=len(owed))


def _may_see(job: Job, member: Member) -> bool:
    owner = job.origin.member
    return owner.tenant == member.tenant and (owner.id == member.id or not job.origin.private)


def _check_owner(job: Job, member: Member, verb: str) -> None:
    owner = job.origin.member
    if owner.id != member.id and not member.admin:
        raise Refusal(f"Only {owner.name} or an administrator can {verb} that.", code="forbidden")


def _style(value: str) -> str:
    name = _read(prompt.read_style, value)
    return "" if name == NO_STYLE else name


def _read(reader: Callable[[str], str], value: str) -> str:
    try:
        return reader(value)
    except Unusable as error:
        raise Refusal(str(error)) from error
