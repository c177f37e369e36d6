"""The workflow: understand a command or a press, admit a job, follow it, deliver it.

Platform-neutral. Adapters pass in what people did and get back an answer; a job's own message is posted and
edited by the courier.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import structlog

from bot import (
    actions,
    admission,
    card,
    commands,
    moderation,
    offers,
    pictures,
    policy,
    presets,
    privacy,
    remake,
    telemetry,
    words,
)
from bot import (
    prompts as prompt,
)
from bot.actions import Action, Whose
from bot.adapters.base import Answer as Answer
from bot.adapters.base import ChatAdapter, MessageRef
from bot.adapters.base import Receipt as Receipt
from bot.admin import Admin
from bot.admission import Ask
from bot.brake import Brake
from bot.card import ANYTHING, Card, Form, May
from bot.courier import Courier
from bot.departures import Departures
from bot.errors import Refusal, StoreError, StoreGone
from bot.follower import Follower
from bot.guard import Guard
from bot.images.blobs import BlobStore
from bot.logins import Logins
from bot.models import HOUSE, AuditLine, Balance, Job, Member, Origin, State, Tier, new_id
from bot.moderation import Classifier, Eyes, Unseeing
from bot.openness import Openness
from bot.options import MAX_TYPED, Command, Completes, Unusable, bounded, clip
from bot.overview import Overview
from bot.policy import Rules
from bot.presets import NO_STYLE
from bot.privacy import Privacy
from bot.prompts import Draft, Source
from bot.provenance import signing
from bot.provenance.keys import Keys
from bot.provenance.stamper import Stamper
from bot.provenance.verdict import Verdict, verify
from bot.readiness import Readiness
from bot.recovery import Recovery
from bot.reviews import DECISIONS, Reviews
from bot.settings import Settings
from bot.store import Installations, LinkRefused, Store
from bot.tiers import Tiers
from bot.tiers import load as load_tiers
from bot.words import Sayable, Speech
from engine.errors import EngineError
from engine.types import SEED_LIMIT, Engine, GenerationRequest, Lane, ModelInfo, TaskKind

log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")

ANCESTORS = 10  # generations that a job's info names
SWEEP_AGE = 600.0  # seconds after which a file that no job needs may go
SWEEP_PAUSE = 3600.0  # seconds between two looks for such files
PAINTING = ("imagine", "upscale", "vary")
"""Commands that look for themselves whether the person may ask."""
ALWAYS = ("help", "quota", "privacy export", "privacy delete")
"""Commands that blocked people may use."""
LAST_WORDS = 5.0  # seconds in which ends that are owed may still be shown when the studio closes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A prompt that may be painted."""

    said: Draft
    draft: Draft  # with the person's own defaults
    request: GenerationRequest
    source: Source | None
    png: bytes  # of a source that is not stored yet
    model: ModelInfo
    relaxed: bool


class Studio:
    """The one door for what people do. Every answer is for the person who asked."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        engine: Engine,
        blobs: BlobStore,
        tiers: Tiers | None = None,
        eyes: Eyes | None = None,
        guard: Guard | None = None,
        keys: Keys | None = None,
    ) -> None:
        self.guard = guard or Guard(store)
        self._settings = settings
        self._store = store
        self._engine = engine
        self._blobs = blobs
        self._tiers = tiers or load_tiers()
        self._keys = keys or signing.ready(
            settings.keys_dir, settings.signing_certificate, settings.signing_key
        )
        self._speech = Speech()
        self._courier = Courier(store, self._drawn)
        self._brake = Brake(engine)
        self._follower = Follower(
            engine=engine,
            store=store,
            blobs=blobs,
            show=self._courier.show,
            eyes=eyes or (Classifier() if settings.picture_check else Unseeing()),
            rules=self._moderation,
            stamp=Stamper(store, blobs, self._keys).stamp,
            holds=self._brake.holds,
            give_up=self.guard.fail,
        )
        self._recovery = Recovery(store, self._follower, self._tiers, self._courier.show)
        self.departures = Departures(store, engine, self._follower)
        self._openness = Openness(store, self._follower.lives)
        self._reviews = Reviews(settings, store, self._courier.show)
        self._privacy = Privacy(store, blobs, self._remove, settings.retention_days)
        self._admin = Admin(
            settings=settings,
            store=store,
            engine=engine,
            tiers=self._tiers,
            follower=self._follower,
            departures=self.departures,
            brake=self._brake,
            speech=self._speech,
            show=self._courier.show,
        )
        self.logins = Logins(store, settings)
        self._overview = Overview(
            settings=settings,
            store=store,
            engine=engine,
            tiers=self._tiers,
            follower=self._follower,
            brake=self._brake,
        )
        self.readiness = Readiness(settings, store, engine)
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
            "studio": self._studio,
            "link": self._link,
            "privacy export": self._export,
            "privacy delete": self._ask_to_forget,
            "help": self._help,
        }
        self._presses: dict[actions.Name, Callable[[Action, Job, Origin], Awaitable[Answer]]] = {
            **dict.fromkeys(actions.DERIVING, self._derive),
            "edit": self._edit,
            "info": self._info,
            "pick": self._pick,
            "more": self._more,
            "show": self._show_again,
            "share": self._share,
            "cancel": self._cancel,
            "delete": self._delete,
            "report": self._report,
        }

    def add(self, adapter: ChatAdapter) -> None:
        """Let a surface show messages. Before `start`, or its undelivered ends wait for the next one."""
        self._courier.add(adapter)
        self.readiness.add(adapter)
        self._openness.add(adapter)

    async def start(self) -> None:
        """Start the engine, and go on where the last process stopped."""
        await self._recovery.begin()
        await self._engine.start()
        await self.load()
        self._tasks = [
            asyncio.create_task(self._follower.run(), name="follower"),
            asyncio.create_task(self._follower.refresh(), name="refresh"),
            asyncio.create_task(self.guard.run(), name="guard"),
            asyncio.create_task(self._stop_painting(), name="stop"),
        ]
        self._tasks[0].add_done_callback(self._essential)
        recovery = asyncio.create_task(self._recovery.run(), name="recovery")
        recovery.add_done_callback(self._essential)
        self._tasks += [recovery, asyncio.create_task(self._keep_swept(), name="sweep")]
        self._open = True

    async def load(self) -> None:
        """Take over what the rows say of costs, pauses and languages; `start` does so too."""
        await self._warm()
        await self._admin.load()

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
        return await self._answer(self._handle(command, dict(options), origin, parent), origin)

    async def press(self, button: str, origin: Origin) -> Answer:
        """Do what a button stands for, however old its card is. Raises Refusal."""
        return await self._answer(self._press(button, origin), origin)

    async def _answer(self, work: Coroutine[Any, Any, T], origin: Origin) -> T:
        """What came of the work, in the language of whoever is answered and fit for where they are."""
        try:
            answer = _fitting(await self._done(work), origin)
        except Refusal as refusal:
            keep = partial(self._store.keep_offer, origin.member.id)
            raise self.said(await offers.kept(refusal, keep), origin) from refusal.__cause__
        return answer if isinstance(answer, Receipt) else self.said(answer, origin)  # type: ignore[type-var]

    def said(self, what: Sayable, origin: Origin) -> Sayable:
        """A card, a form or a refusal in the language of the place, else in the person's own."""
        return words.translated(what, self._speech.of(origin))

    async def _done(self, work: Coroutine[Any, Any, T]) -> T:
        """Work that goes on even if the adapter stops waiting: what is admitted must reach the engine."""
        if not self._open or self.guard.reason:
            work.close()
            raise Refusal("Easel is stopping or starting. Try again in a minute.", code="busy")
        task = asyncio.create_task(work)
        self._answers.add(task)
        task.add_done_callback(self._answered)
        try:
            return await asyncio.shield(task)
        except StoreGone as error:
            log.critical("not saved", cause=str(error))
            notice = (
                "Easel's database was deleted or replaced, so nothing new can be saved. "
                "Whoever runs this Easel must put it back and start Easel again."
            )
            raise Refusal(notice, code="store") from error
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
        for value in options.values():
            bounded(value if isinstance(value, str) else "")
        if name == "imagine":
            return await self._imagine(options, origin, parent)
        name = commands.command(name).name
        if name == "reports" or commands.command(name).admin:
            return await self.administer(name, options, origin)
        checked = commands.check(name, options)
        if name not in (*PAINTING, *ALWAYS):
            (await self.rules(origin.member)).check_person()
        return await self._commands[name](checked, origin)

    async def administer(self, name: str, options: Mapping[str, object], origin: Origin) -> Card:
        """An administrator's command; the studio need not be started. Raises Refusal, StoreError."""
        name = commands.command(name).name
        policy.authorize(commands.command(name), origin, self._settings.operators)
        rules = await self.rules(origin.member)
        rules.check_person()
        said = commands.check(name, options)
        match name:
            case "reports" if origin.member.admin or policy.runs_easel(origin, self._settings.operators):
                return await self._reviews.queue(origin)
            case "reports":
                return await self._reviews.listed(origin, rules)
            case "admin decide":
                return await self._reviews.decide(str(said["job"]), str(said["do"]), origin)
            case "admin invite":
                member, invitation = await self.logins.invite(str(said["name"]))
                await self._admin.note(name, member.id, origin)
                return invitation
        return await self._admin.run(name, said, origin)

    def overview(self, origin: Origin) -> Overview:
        """What those who run Easel may look at. Raises Refusal."""
        if not policy.runs_easel(origin, self._settings.operators):
            raise Refusal("Only those who run this Easel may see this.", code="forbidden")
        return self._overview

    async def allowance(self, origin: Origin) -> tuple[Tier, list[Balance]]:
        """The person's tier, and what is used of its allowances, budgets and gifts. Raises StoreError."""
        rules = await self.rules(origin.member)
        return rules.tier, await self._balances(rules, origin)

    async def quota(self, origin: Origin) -> Card:
        """What `/quota` says; the studio need be loaded only. Raises Refusal, StoreError."""
        return self.said(await self._quota({}, origin), origin)

    async def rules(self, member: Member) -> Rules:
        """What holds for the member in their tenant right now. Raises StoreError."""
        return Rules(await self._store.standing(member), self._tiers, member)

    async def _press(self, button: str, origin: Origin) -> Answer:
        action = actions.parse(button)
        if action.name in ("try", "offer"):
            return await self._imagine({"prompt": await self.offered(action, origin.member)}, origin, "")
        if action.name == "forget":
            return await self._forget(action, origin)
        if action.name not in actions.DERIVING:
            (await self.rules(origin.member)).check_person()
        if action.name in DECISIONS:
            return await self._reviews.decide(action.job, action.name, origin)
        job = await self.job(action.job, origin.member, origin.here)
        return await self._presses[action.name](action, job, origin)

    # ---- what adapters ask

    async def offered(self, action: Action, member: Member) -> str:
        """The text that an offer's button stands for. Raises Refusal where it is not kept any more."""
        if action.spec.about == "text":
            return action.text
        text = await self._store.offer(action.job, member.id)
        if text is None:
            raise Refusal("This offer is no longer there. Ask anew with /imagine.", code="expired")
        return text

    async def job(self, id: str, member: Member, here: Collection[str] = ()) -> Job:
        """A job, for a member who is in the places `here`.

        Raises Refusal if it is unknown, deleted, of another tenant, private to someone else, or of a closed
        place elsewhere; for a guest, also of any other place.
        """
        job = await self._store.job(id)
        job = job and await self._openness.now(job, here)
        if job is None or not (job.is_seen_by(member, here) or await self._owns(job, member)):
            raise Refusal(f"There is no job {clip(id)} here. /history lists them.", code="unknown")
        if job.state is State.DELETED:
            raise Refusal("Those pictures were deleted.", code="deleted")
        return job

    async def _owns(self, job: Job, member: Member) -> bool:
        """Whether the job is the member's: asked for here, or anywhere by someone with linked names."""
        owner = job.origin.member
        if (owner.id, owner.tenant) == (member.id, member.tenant):
            return True
        names = await self._store.sharing(member.id)
        return len(names) > 1 and owner.id in names

    async def jobs(self, member: Member, **filters: Any) -> list[Job]:
        """`Store.jobs`, as far as the member may see them."""
        found = await self._store.jobs(member.tenant, viewer=member.id, guest=member.guest, **filters)
        return await self._openness.seen(found, member, filters.get("here", ()))

    async def close_place(self, tenant: str, channel: str, before: datetime) -> None:
        """A channel was made private: what was asked for in it until then is its people's alone.

        Raises StoreError.
        """
        await self._openness.close(tenant, channel, before)

    async def private(
        self, options: Mapping[str, object], member: Member, here: Collection[str] = ()
    ) -> bool:
        """Whether what /imagine paints by these options, but for files, is for the member alone.

        Raises Refusal.
        """
        draft = prompt.parse(str(options.get("prompt", "")), {**options, "prompt": None})
        if draft.source:
            id = str(draft.source).partition(":")[0]
            if not (await self.job(id, member, here)).is_open(here):
                return True
        preferred = (await self.rules(member)).preferences().private
        return preferred if draft.private is None else draft.private

    def card(self, job: Job, may: May = ANYTHING) -> Card:
        """The job's present card, in the language of where it was asked for; `may`: for whom it is."""
        return self.said(self._present(job, may), job.origin)

    async def tasks(self, member: Member) -> frozenset[TaskKind]:
        """What the member may ask for: what the models do that are for them. Raises StoreError."""
        models = _models(await self.rules(member), self._engine.models())
        painting = frozenset[TaskKind]().union(*(model.tasks for model in models))
        return painting | {"upscale"}

    async def _drawn(self, job: Job) -> Card:
        """The card of a job's own message, for whoever asked for it. Raises StoreError."""
        if not job.state.ended:
            return self.card(job)
        return self.card(job, May(tasks=await self.tasks(job.origin.member)))

    async def _may(self, job: Job, member: Member) -> May:
        who: set[Whose] = {"anyone"}
        who |= {"owner"} if await self._owns(job, member) else set()
        who |= {"moderator"} if (await self.rules(member)).moderates(job) else set()
        return May(tasks=await self.tasks(member), who=frozenset(who))

    async def _shown(self, job: Job, member: Member) -> Card:
        """The job's present card, for one person."""
        return self._present(job, await self._may(job, member))

    def _present(self, job: Job, may: May = ANYTHING) -> Card:
        life = self._follower.lives.get(job.id)
        job = life.job if life else job
        match job.state:
            case State.QUEUED:
                held = self._brake.holds(job)
                place, balance = (life.place, life.balance) if life else (None, None)
                return card.waiting(job, place, balance, may, held=held and life is not None)
            case State.RUNNING:
                progress, left = (life.progress, life.left) if life else (None, None)
                return card.painting(job, progress, left, may)
            case State.RENDERED:
                return card.done(job, may)
            case State.FAILED:
                return card.failed(job, may)
            case State.CANCELLED:
                return card.cancelled(job, may)
            case State.DELETED:
                return card.deleted(job)

    async def team(self, origin: Origin) -> Card:
        """What the people of a place used in the last seven days. Raises Refusal, StoreError."""
        if not origin.member.admin:
            raise Refusal("Only an administrator can see what the others used.", code="forbidden")
        since = datetime.now(UTC) - card.TEAM_SPAN
        uses = await self._store.usage(
            since, 2 * card.TEAM_SPAN, "person", tenant=origin.member.tenant, most=card.TEAM
        )
        return card.team(uses)

    @property
    def installations(self) -> Installations:
        """Where adapters keep what they know of places that installed them, sealed."""
        return self._store

    async def shared(self, job: Job, ref: MessageRef, there: Origin) -> None:
        """A result is shown in a further place: whoever is there may see it now. Raises StoreError."""
        await self._store.publish(job.id, there, ref)

    def redraw(self, job: Job) -> None:
        """Show a job's message anew, though its card has not changed."""
        self._courier.show(job, anew=True)

    async def owe(self, surface: str, reasons: Collection[str]) -> None:
        """Show ends after all that could not be shown for one of these reasons. Raises StoreError."""
        undelivered = [f"It could not be delivered: {each}" for each in reasons]
        for job in await self._store.owe(surface, undelivered):
            self._courier.show(job)

    async def reach(self, job: Job, reply: Mapping[str, Any]) -> None:
        """Answer the job's person in these ways too, until it ends. Raises StoreError."""
        reached = await self._store.reach(job.id, reply)
        if life := self._follower.lives.get(job.id):
            life.job = replace(life.job, origin=reached.origin)
            self._courier.show(life.job, anew=True)

    async def defaults(self, origin: Origin) -> Form:
        """The person's settings as a form. Raises StoreError."""
        rules = await self.rules(origin.member)
        own = prompt.held(
            await self._store.preferences(origin.member.id),
            _models(rules, self._engine.models()) or self._engine.models(),
            rules.tier.max_count,
        )
        known = asdict(own)
        known["metadata"] = known.pop("tells_prompt")
        values = {name: "yes" if value is True else str(value) for name, value in known.items() if value}
        return Form(command="settings", title="Your settings", values=values)

    @property
    def vocabulary(self) -> tuple[Command, ...]:
        """The commands as far as the models here can do them, with the widest ranges of all tiers."""
        return commands.vocabulary(self._engine.models(), self._tiers.all)

    async def known(self, member: Member) -> tuple[Command, ...]:
        """The commands as they are for the member: with the ranges of their models and tier."""
        return self._known(await self.rules(member))

    def _known(self, rules: Rules) -> tuple[Command, ...]:
        return commands.vocabulary(_models(rules, self._engine.models()), [rules.tier])

    async def styles(self, member: Member) -> list[tuple[str, str]]:
        """Name and label of the styles that the member may ask for. Raises StoreError."""
        rules = await self.rules(member)
        return [
            (each.name, each.label) for each in presets.load().styles.values() if rules.takes_style(each.name)
        ]

    async def check_source(self, member: Member) -> None:
        """Raises Refusal for somebody whose models cannot start from a picture."""
        models = (await self.rules(member)).models(self._engine.models())
        remake.able(models, "image_to_image")

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

    async def fitted(self, blob: str, limit: int) -> tuple[bytes, str]:
        """A picture in at most `limit` bytes, and its media type.

        Raises KeyError when there is no such picture, ValueError when it cannot be made so small, StoreError.
        """
        return await pictures.fit(await self._blobs.get(blob), limit, self._keys)

    async def verify(self, data: bytes) -> Verdict:
        """What is known of a picture, for whoever has it. Raises Refusal, StoreError."""
        most = self._settings.max_source_bytes
        return await verify(data, self._keys, self._store.original, max_bytes=most)

    async def sweep(self, older_than: float = SWEEP_AGE) -> None:
        """Remove files that no job needs and that are older than so many seconds. Raises StoreError."""
        if removed := await self._blobs.sweep(await self._store.blobs(), older_than):
            log.info("files that no job needs were removed", files=removed)

    async def complete(self, source: Completes, typed: str, member: Member) -> list[tuple[str, str]]:
        """What may follow while someone types an option: (value, label), at most 25."""
        wanted = typed[:MAX_TYPED].casefold()
        found = await self._choices(source, member, wanted)
        return [choice for choice in found if wanted in " ".join(choice).casefold()][:25]

    async def _choices(self, source: Completes, member: Member, typed: str) -> list[tuple[str, str]]:
        known = presets.load()
        match source:
            case "styles":
                return await self.styles(member)
            case "aspects":
                return [(ratio, f"{name.capitalize()} {ratio}") for name, ratio in known.aspects.items()]
            case "models":
                offered = (await self.rules(member)).models(self._engine.models())
                return [(model.name, model.title) for model in offered]
            case "commands":
                known_here = await self.known(member)
                return [(each.name, each.help) for each in known_here if member.admin or not each.admin]
            case "tiers":
                return [(tier.name, tier.title) for tier in self._tiers.all]
            case "people" if member.admin:
                here = "" if member.tenant == HOUSE else member.tenant
                return list((await self._store.names(here, typed)).items())
            case "jobs" | "pictures" | "unfinished":
                recent = await self.jobs(member, user=member.id, states=_STATES[source], limit=50)
                return [(job.id, clip(job.prompt, 60)) for job in recent]
        return []

    # ---- asking for pictures

    async def _imagine(self, options: dict[str, Any], origin: Origin, parent: str) -> Receipt:
        rules = await self._open_to(origin)
        edited = await self.job(parent, origin.member, origin.here) if parent else None
        plan = await self._planned(options, origin, rules)
        request, source = plan.request, plan.source
        if plan.png:
            request = request.starting_from(await self._blobs.put(plan.png, ".png"))
        private = origin.private or bool(plan.draft.private) or (source is not None and source.private)
        return await self._submit(
            request,
            replace(origin, private=private),
            rules,
            self._ask(plan),
            prompt=plan.draft.prompt,
            style="" if plan.draft.style == NO_STYLE else plan.draft.style,
            relaxed=plan.relaxed,
            parent=parent or None,
            action="edit" if edited else "imagine",
            note=remake.moved(edited, request, self._engine.models()) if edited else "",
        )

    def _ask(self, plan: _Plan, balances: Sequence[Balance] = ()) -> Ask:
        return Ask(
            model=plan.model, estimate=self._engine.estimate, draft=plan.said, balances=tuple(balances)
        )

    async def check(self, options: Mapping[str, object], origin: Origin) -> None:
        """Raises Refusal when /imagine would not take these options."""
        await self._planned(dict(options), origin, await self.rules(origin.member))

    async def _planned(self, options: dict[str, Any], origin: Origin, rules: Rules) -> _Plan:
        """What the options ask for. Raises Refusal, with all that is wrong and offers that are taken."""
        text = str(options.pop("prompt", ""))
        source = options.get("source")
        if isinstance(source, bytes):
            most = self._settings.max_source_bytes
            source = options["source"] = await pictures.open_source(source, max_bytes=most)
        try:
            return await self._plan(text, options, origin, rules)
        except Refusal as refusal:
            file = {"source": source} if isinstance(source, bytes) else {}

            async def attempt(text: str) -> None:
                plan = await self._plan(text, file, origin, rules)
                if not plan.relaxed:
                    ask = self._ask(plan, await self._balances(rules, origin))
                    admission.check(plan.request, rules, ask, self._store.now())

            found = await offers.mended(refusal, attempt)
            # A text cannot carry the file.
            raise Refusal(found.notice, code=found.code, offers=() if file else found.offers) from refusal

    async def _plan(self, text: str, options: Mapping[str, Any], origin: Origin, rules: Rules) -> _Plan:
        said = prompt.parse(text, options, ranged=False)
        source, png = await self._source(said.source, origin)
        offered = self._engine.models()
        rules.check_model(said.model, offered, said)
        models = rules.models(offered)
        draft = prompt.with_defaults(said, rules.preferences(), models, rules.tier, rules.takes_style)
        request = prompt.compose(draft, models, rules.tier, source, said)
        model = self._model(request)
        rules.check(request, draft.style, model, said)
        return _Plan(
            said=said,
            draft=draft,
            request=request,
            source=source,
            png=png,
            model=model,
            relaxed=rules.relaxed(draft.relax, said),
        )

    async def _open_to(self, origin: Origin) -> Rules:
        """The rules for somebody who asks for pictures. Raises Refusal where they may not."""
        rules = await self.rules(origin.member)
        rules.check_person()
        rules.check_place(origin.channel)
        return rules

    def _model(self, request: GenerationRequest) -> ModelInfo:
        """Raises Refusal when its model is not offered any more."""
        return prompt.choose_model(Draft(prompt="", model=request.model), self._engine.models())

    async def _source(self, named: str | bytes, origin: Origin) -> tuple[Source | None, bytes]:
        """The picture to start from: a stored one, or a new one as PNG bytes that are not stored yet."""
        if isinstance(named, bytes):
            width, height = pictures.png_size(named)
            return Source(blob="", width=width, height=height), named
        if not named:
            return None, b""
        id, _, which = named.partition(":")
        job = await self.job(id, origin.member, origin.here)
        if which == "source":
            if job.request.source is None:
                raise Refusal(f"Job {job.id} did not start from a picture.", code="no_picture")
            blob, width, height = job.request.source, job.request.width, job.request.height
        else:
            chosen = actions.picture(job, int(which or 1) - 1)
            blob, width, height = chosen.blob, chosen.width, chosen.height
        return Source(blob=blob, width=width, height=height, private=not job.is_open(origin.here)), b""

    async def _derive(self, action: Action, parent: Job, origin: Origin) -> Receipt:
        rules = await self._open_to(origin)
        request = actions.derive(action, parent, random.randrange(SEED_LIMIT))
        now = remake.remade(request, parent, rules, self._engine.models())
        mine = parent.relaxed and await self._owns(parent, origin.member)
        return await self._submit(
            now.request,
            replace(origin, private=origin.private or not parent.is_open(origin.here)),
            rules,
            Ask(model=now.model, estimate=self._engine.estimate, relaxing=replace(action, relax=True).id),
            prompt=parent.prompt,
            style=now.style,
            note=now.note,
            relaxed=rules.relaxed(action.relax or None) or (mine and "relax" in rules.tier.priorities),
            parent=parent.id,
            parent_index=action.index,
            action=action.name,
        )

    async def _submit(
        self, request: GenerationRequest, origin: Origin, rules: Rules, ask: Ask, **more: Any
    ) -> Receipt:
        """Admit a job and hand it to the engine, once for each event of the platform."""
        await self._reviews.check(request, more["prompt"], origin, rules.moderation(adult=origin.adult))
        estimate = self._engine.estimate(request)
        balances = await self._balances(rules, origin)
        balance, ask = admission.tightest(balances), replace(ask, balances=tuple(balances))
        wanted = Job(
            id=new_id(),
            origin=origin,
            request=request,
            estimate=estimate,
            created=datetime.now(UTC),
            **more,
        )
        job, new = await admission.admit(self._store, wanted, rules, ask)
        if not new:
            return Receipt(job=job, place=self._engine.place(job.id))
        # No await from here on: what is admitted reaches the engine.
        telemetry.JOBS.labels(job.state.value, origin.surface).inc()
        log.info("job accepted", job_id=job.id, action=job.action, estimate=round(estimate, 2))
        if balance:
            balance = replace(balance, used=balance.used + estimate)
        return Receipt(job=job, place=self._follower.begin(job, rules.tier, balance, home=rules.home))

    async def _balances(self, rules: Rules, origin: Origin) -> list[Balance]:
        budgets = rules.budgets(origin.member.tenant, origin.channel)
        return await self._store.balances(rules.account, rules.tier, budgets)

    # ---- commands

    async def _upscale(self, options: dict[str, Any], origin: Origin) -> Receipt:
        return await self._of_picture("upscale", options, origin)

    async def _vary(self, options: dict[str, Any], origin: Origin) -> Receipt:
        strong = options.get("strength") == "strong"
        return await self._of_picture("vary_strong" if strong else "vary_subtle", options, origin)

    async def _of_picture(self, name: actions.Name, options: dict[str, Any], origin: Origin) -> Receipt:
        job = await self.job(options["job"], origin.member, origin.here)
        return await self._derive(
            Action(name=name, job=job.id, index=options.get("picture", 1) - 1), job, origin
        )

    async def _queue(self, options: dict[str, Any], origin: Origin) -> Card:
        lanes = self.line()
        shown = (id for lane in lanes[: card.MOST_LANES] for id in (*lane.running, *lane.waiting))
        seen = (origin.member, origin.here)
        found = [job for job in self.living(shown).values() if job.is_seen_by(*seen)]
        visible = {job.id: job for job in await self._openness.seen(found, *seen)}
        account = await self._store.account_of(origin.member.id)
        return card.queue(lanes, visible, origin.member, account)

    async def _cancel_one(self, options: dict[str, Any], origin: Origin) -> Card:
        member = origin.member
        if "job" in options:
            job = await self.job(options["job"], member, origin.here)
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
            origin.member,
            here=origin.here,
            user=user,
            search=search,
            style=style,
            states=(State.RENDERED,),
            limit=10,
        )
        return card.history(found, search=search)

    async def _show(self, options: dict[str, Any], origin: Origin) -> Card:
        return await self._shown(await self.job(options["job"], origin.member, origin.here), origin.member)

    async def _quota(self, options: dict[str, Any], origin: Origin) -> Card:
        rules = await self.rules(origin.member)
        ordinary = Draft(prompt="a picture", count=1)
        models = rules.models(self._engine.models())
        cost = self._engine.estimate(prompt.compose(ordinary, models, rules.tier))
        recent = await self.jobs(origin.member, user=origin.member.id, states=(State.RENDERED,), limit=5)
        return card.quota(rules.tier, await self._balances(rules, origin), recent, self._store.now(), cost)

    async def _styles(self, options: dict[str, Any], origin: Origin) -> Card:
        rules = await self.rules(origin.member)
        return card.styles([each for each in presets.load().styles.values() if rules.takes_style(each.name)])

    async def _change_settings(self, options: dict[str, Any], origin: Origin) -> Card:
        person = origin.member.id
        if options.pop("logout", False):
            await self.logins.end_all(origin.member)
        before = await self._store.preferences(person)
        rules = await self.rules(origin.member)
        models, most = rules.models(self._engine.models()), rules.tier.max_count
        if "metadata" in options:
            options["tells_prompt"] = options.pop("metadata")
        after = prompt.changed(before, options, models, most)
        if after != before:
            await self._store.save_preferences(person, after)
        return card.settings(after, await self.logins.sessions(origin.member))

    async def _studio(self, options: dict[str, Any], origin: Origin) -> Card:
        return await self.logins.link(origin)

    async def _link(self, options: dict[str, Any], origin: Origin) -> Card:
        """A code to type elsewhere, two names joined by one, or a name that leaves the others."""
        me = origin.member.id
        try:
            if options.get("leave"):
                await self._store.unlink(me)
                return card.unlinked()
            if "code" not in options:
                return card.link_code(await self._store.link_code(me))
            account = await self._store.link(options["code"], me)
        except LinkRefused as error:
            raise Refusal(str(error), code="link") from error
        names = await self._store.members_of(account)
        await self._follower.gather(names, account, (await self.rules(origin.member)).home)
        return card.linked(names)

    async def _help(self, options: dict[str, Any], origin: Origin) -> Card:
        name = options.get("command", "").strip().lstrip("/").casefold()
        may = origin.member.admin or policy.runs_easel(origin, self._settings.operators)
        asked = commands.command(name) if name and name != "admin" else None
        if asked:
            policy.authorize(asked, origin, self._settings.operators)
        known = await self.known(origin.member)
        shown = [each for each in known if each.admin == (may and name == "admin")]
        here = next((each for each in known if asked and each.name == asked.name), asked)
        return card.help(here, shown, admin=may)

    # ---- presses

    async def _edit(self, action: Action, job: Job, origin: Origin) -> Form:
        draft = await self._recalled(job, origin)
        return Form(command="imagine", title="Edit and paint again", values=prompt.said(draft), parent=job.id)

    async def _recalled(self, job: Job, origin: Origin) -> Draft:
        rules = await self.rules(origin.member)
        return remake.recalled(job, rules, self._engine.models(), rules.preferences())

    async def _info(self, action: Action, job: Job, origin: Origin) -> Card:
        parents: list[Job] = []
        child = job
        with suppress(Refusal):  # an ancestor that was deleted ends the line
            while child.parent and len(parents) < ANCESTORS:
                child = await self.job(child.parent, origin.member, origin.here)
                parents.append(child)
        text = ""
        with suppress(Refusal):  # there is no model for this person
            text = prompt.render(await self._recalled(job, origin))
        return card.info(job, parents, text if job.request.paints else "")

    async def _pick(self, action: Action, job: Job, origin: Origin) -> Card:
        index = actions.picture(job, action.index or 0).index
        return card.picked(job, index, await self._may(job, origin.member))

    async def _more(self, action: Action, job: Job, origin: Origin) -> Card:
        if job.state is not State.RENDERED:
            raise Refusal("That job has no pictures. Press Again to paint it anew.", code="no_picture")
        return card.more(job, await self._may(job, origin.member))

    async def _show_again(self, action: Action, job: Job, origin: Origin) -> Card:
        return await self._shown(job, origin.member)

    async def _share(self, action: Action, job: Job, origin: Origin) -> Card:
        """What to show in the place that `origin` names; once it stands there, the adapter says `shared`."""
        await self._check_whose(action, job, origin.member)
        if job.origin.member.tenant != origin.member.tenant:
            raise Refusal("These pictures can be shared where they were asked for.", code="forbidden")
        if job.state is not State.RENDERED:
            raise Refusal("Only finished pictures can be shared.", code="no_picture")
        if job.hidden:
            raise Refusal(
                "The message with these pictures was deleted, so only you can see them.", code="hidden"
            )
        if not (await self.rules(origin.member)).takes_channel(origin.channel):
            raise Refusal("Easel is not used in that channel. Share it in another one.", code="channel")
        return self._present(replace(job, origin=replace(job.origin, private=False)))

    async def _cancel(self, action: Action, job: Job, origin: Origin) -> Card:
        own = await self._check_whose(action, job, origin.member)
        if job.state.ended:
            raise Refusal("That job has ended already.", code="ended")
        line = None if own else self._admin.line("cancel", job, origin, "cancelled")
        ended, first = await self._store.end(job.id, State.CANCELLED, line=line)
        self._engine.cancel(job.id)  # only now: its own word of the end would come before the line
        if first:
            self._follower.finish(ended)
        return self._present(ended)

    async def _delete(self, action: Action, job: Job, origin: Origin) -> Card:
        own = await self._check_whose(action, job, origin.member)
        await self._remove(job, None if own else self._admin.line("delete", job, origin, "deleted"))
        return card.deleted(job)  # its files are left to the sweep

    async def _check_whose(self, action: Action, job: Job, member: Member) -> bool:
        """Whether the job is the member's own. Raises Refusal where the press is not theirs to make."""
        own = await self._owns(job, member)
        if own and "owner" in action.spec.whose:
            return own
        if "moderator" not in action.spec.whose:
            notice = f"Only the person who asked for these pictures can {action.name} them."
            raise Refusal(notice, code="forbidden")
        if not (await self.rules(member)).moderates(job):
            owner = job.origin.member.name
            raise Refusal(f"Only {owner} or an administrator can {action.name} that.", code="forbidden")
        return own

    async def _report(self, action: Action, job: Job, origin: Origin) -> Card:
        return await self._reviews.report(job, origin)

    # ---- moderation and privacy

    async def _moderation(self, job: Job) -> moderation.Rules:
        """What the job's pictures may show, by the rules of this moment."""
        return (await self.rules(job.origin.member)).moderation(adult=job.origin.adult)

    async def _export(self, options: dict[str, Any], origin: Origin) -> Card:
        return await self._privacy.export(origin, options.get("part", 1))

    async def _ask_to_forget(self, options: dict[str, Any], origin: Origin) -> Card:
        return self._privacy.ask(origin)

    async def _forget(self, action: Action, origin: Origin) -> Card:
        if action.job != privacy.token(origin):
            raise Refusal("This button was made for somebody else. Use /privacy delete.", code="forbidden")
        done = await self._privacy.delete(origin)
        await self.sweep()
        return done

    async def _remove(self, job: Job, line: AuditLine | None = None) -> None:
        """End a job wherever it is, and delete it."""
        deleted = await self._store.delete(job.id, line)
        self._engine.cancel(job.id)
        self._follower.finish(deleted)

    # ---- in the background

    async def _stop_painting(self) -> None:
        """At once, when the process must end."""
        await self.guard.failed.wait()
        await self._engine.close()

    def _essential(self, task: asyncio.Task[None]) -> None:
        """Without this task nothing is written down any more."""
        if not task.cancelled() and (error := task.exception()):
            log.error("a task has failed", task=task.get_name(), exc_info=error)
            self.guard.fail(f"the {task.get_name()} has failed: {error!r}")

    async def _keep_swept(self) -> None:
        while True:
            try:
                await self._store.heal()
                await self._privacy.expire()
                await self._privacy.resume()
                await self.sweep()
            except StoreError as error:
                log.warning("what is to be deleted is left", cause=str(error))
            await asyncio.sleep(SWEEP_PAUSE)

    # ---- starting

    async def _warm(self) -> None:
        """Let the engine estimate by what recent jobs took."""
        for request, seconds in reversed(await self._store.measured()):
            with suppress(EngineError):  # a model that is not offered any more
                self._engine.learn(request, seconds)


_STATES: dict[Completes, tuple[State, ...]] = {
    "jobs": (),
    "pictures": (State.RENDERED,),
    "unfinished": (State.QUEUED, State.RUNNING),
}
"""Of which jobs an option takes one."""


def _models(rules: Rules, offered: Sequence[ModelInfo]) -> Sequence[ModelInfo]:
    """Those that may be asked for; none where there are none."""
    try:
        return rules.models(offered)
    except Refusal:
        return ()


def _fitting(answer: T, origin: Origin) -> T:
    """An answer without what only age-restricted channels may show."""
    if isinstance(answer, Card) and answer.adult and not origin.adult:
        return card.withheld(answer)  # type: ignore[return-value]
    return answer


def _style(value: str) -> str:
    name = _read(prompt.read_style, value)
    return "" if name == NO_STYLE else name


def _read(reader: Callable[[str], str], value: str) -> str:
    try:
        return reader(value)
    except Unusable as error:
        raise Refusal(str(error)) from error
