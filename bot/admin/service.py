"""What administrators can do, and what they are told. Platform-neutral; who may is decided in `policy`.

Every change is one transaction with its line of the audit. It concerns the tenant of the administrator, or
every tenant where that is the house ("*"). Only gifts, resets and allowances of one's own reach further: they
count in a person's account wherever it is used, so the vocabulary keeps them to operators.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot import card, commands, presets, prompt, words
from bot.accounts import audit, policy
from bot.accounts.access import Access
from bot.accounts.logins import Logins
from bot.accounts.policy import Rules
from bot.accounts.tiers import Tiers
from bot.admin import sheets
from bot.card import Card
from bot.commands import Unusable, clip
from bot.errors import Refusal
from bot.jobs.endings import Endings
from bot.jobs.holds import Holds
from bot.jobs.live import LiveJob, LiveJobs
from bot.jobs.tracker import JobTracker
from bot.models import (
    HOUSE,
    Allowance,
    AuditLine,
    Filter,
    Job,
    Member,
    Origin,
    Person,
    Policy,
    State,
    Tier,
)
from bot.moderation.reviews import Reviews
from bot.settings import Settings
from bot.store import Store
from bot.words import Speech
from engine.types import Engine, Lane, WorkerStatus

NONE = "none"  # what takes a tier away
EVERYONE = "everyone"  # the role of all who have no other
OWN = "own"  # the language that each person has set on their side
MOST_LINES = 100_000  # of the ledger in one file
MOST_TERMS = 200  # of one list of a place
SHOWN = 15  # people in the line


@dataclass(frozen=True, slots=True)
class Asked:
    """One administrator's command."""

    name: str
    options: dict[str, Any]
    origin: Origin
    operator: bool

    @property
    def tenant(self) -> str:
        return self.origin.member.tenant

    def line(self, target: str = "", before: str = "", after: str = "") -> AuditLine:
        return audit.line(self.origin, self.name, target, before, after)

    def note(self, target: str = "") -> Callable[[Any, Any], AuditLine]:
        return lambda before, after: self.line(target, *policy.difference(before, after))

    @property
    def key(self) -> str:
        """The same event gives nothing twice."""
        return f"{self.origin.surface}/{self.origin.event}"


Run = Callable[[Asked], Awaitable[Card]]


class Admin:
    """Answers the commands of the group "admin", and `/reports`."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        engine: Engine,
        tiers: Tiers,
        lives: LiveJobs,
        access: Access,
        tracker: JobTracker,
        endings: Endings,
        holds: Holds,
        speech: Speech,
        reviews: Reviews,
        logins: Logins,
        show: Callable[[Job], None],
    ) -> None:
        self._settings = settings
        self._store = store
        self._engine = engine
        self._tiers = tiers
        self._lives = lives
        self._access = access
        self._tracker = tracker
        self._endings = endings
        self._holds = holds
        self._speech = speech
        self._reviews = reviews
        self._logins = logins
        self._show = show
        self._commands: dict[str, Run] = {
            "admin status": self._status,
            "admin job": self._job,
            "admin person": self._person,
            "admin tier": self._tier,
            "admin set": self._set_allowance,
            "admin gift": self._gift,
            "admin reset": self._reset,
            "admin block": self._block,
            "admin unblock": self._unblock,
            "admin pause": self._pause,
            "admin drain": self._drain,
            "admin resume": self._resume,
            "admin tiers": self._show_tiers,
            "admin role": self._role,
            "admin budget": self._budget,
            "admin channel": self._channel,
            "admin models": self._models,
            "admin styles": self._styles,
            "admin defaults": self._defaults,
            "admin language": self._language,
            "admin moderation": self._moderation,
            "admin moderators": self._moderators,
            "admin audit": self._audit,
            "admin export": self._export,
            "admin invite": self._invite,
            "admin decide": self._decide,
            "reports": self._reports,
        }

    async def administer(self, name: str, options: Mapping[str, object], origin: Origin) -> Card:
        """Do what the command asks; Easel need not be started. Raises Refusal, StoreError."""
        command = commands.command(name)
        policy.authorize(command, origin, self._settings.operators)
        (await self._access.rules(origin.member)).check_person()
        said = commands.check(command.name, options)
        operator = policy.runs_easel(origin, self._settings.operators)
        return await self._commands[command.name](Asked(command.name, said, origin, operator))

    async def load(self) -> None:
        """Take over which places are paused, and in which language they are answered."""
        found = await self._store.policies()
        self._holds.set_paused(tenant for tenant, each in found.items() if each.paused)
        for tenant, each in found.items():
            self._speech.place(tenant, each)

    # ---- the queue

    async def _status(self, asked: Asked) -> Card:
        state, lives = self._engine.status(), self._lives
        facts = [f"{state.inside} painting", f"{state.waiting} waiting"]
        facts += [f"{state.held} on hold"] if state.held else []
        facts += [f"{state.relaxed} relaxed"] if state.relaxed else []
        lines = [
            *await self._stopped(asked.tenant),
            f"The device gave {state.last_minute:.0f} s in the last minute and "
            f"{state.last_five_minutes:.0f} s in the last five, for {state.rows:.1f} pictures at a time.",
            *map(_worker, state.workers),
            *await self._accuracy(),
            *_longest(lives.values()),
            *self._line(asked),
        ]
        return _card("Status", lines, facts=facts)

    async def _stopped(self, tenant: str) -> list[str]:
        """What keeps people from asking, or their jobs from starting."""
        found = await self._store.policies()
        here = [each for each in dict.fromkeys((HOUSE, tenant)) if each in found]
        where = {HOUSE: "everywhere", tenant: "here"} if tenant != HOUSE else {HOUSE: "everywhere"}
        lines = [f"Paused {where[each]}: /admin resume goes on." for each in here if found[each].paused]
        return lines + [
            f"Takes nothing new {where[each]}: /admin resume goes on." for each in here if found[each].drained
        ]

    async def _accuracy(self) -> list[str]:
        return [
            f"Estimates for {model}: half are within {each.median:.0%} of the cost, nine in ten within "
            f"{each.p90:.0%} ({each.jobs} jobs)."
            for model, each in (await self._store.accuracy()).items()
        ]

    def _line(self, asked: Asked) -> list[str]:
        lanes = self._engine.line()
        lines = [
            f"{number}. {self._who(lane, asked)}: {_doing(lane)}"
            for number, lane in enumerate(lanes[:SHOWN], 1)
        ]
        return lines + ([f"and {len(lanes) - SHOWN} more"] if len(lanes) > SHOWN else [])

    def _who(self, lane: Lane, asked: Asked) -> str:
        """By the name of this place. People of other places stay nameless."""
        lives = self._lives
        ids = (*lane.running, *lane.waiting, *lane.held)
        members = [lives[id].job.origin.member for id in ids if id in lives]
        here = [each.name for each in members if asked.tenant in (HOUSE, each.tenant)]
        return here[0] if here else "someone elsewhere"

    async def _job(self, asked: Asked) -> Card:
        job = await self._found(asked)
        if job.state.ended:
            raise Refusal("That job has ended already.", code="ended")
        match asked.options["do"]:
            case "cancel":
                return await self._cancel(job, asked)
            case "relax":
                return await self._relax(job, asked)
            case do:
                return await self._hold(job, asked, held=do == "hold")

    async def _found(self, asked: Asked) -> Job:
        job = await self._store.job(asked.options["job"])
        if job is None or asked.tenant not in (HOUSE, job.origin.member.tenant):
            raise Refusal(f"There is no job {clip(asked.options['job'])} here.", code="unknown")
        return job

    async def _cancel(self, job: Job, asked: Asked) -> Card:
        await self._endings.cancel(job, asked.line(job.id, job.state.value, "cancelled"))
        return _done(f"Job {job.id} of {_owner(job)} is cancelled; nothing was charged.")

    async def _relax(self, job: Job, asked: Asked) -> Card:
        if not await self._store.relax(job.id, asked.line(job.id, "fast", "relaxed")):
            raise Refusal("Only a job that waits, and is not relaxed yet, can be moved behind the others.")
        self._tracker.relaxed(job.id)
        return _done(f"Job {job.id} of {_owner(job)} is free now, and painted when nobody else waits.")

    async def _hold(self, job: Job, asked: Asked, *, held: bool) -> Card:
        if job.state is not State.QUEUED:
            raise Refusal("Only a job that waits can be held; cancel it instead.", code="running")
        if job.id not in self._lives:
            raise Refusal("Easel is not running, so nothing starts. Use /admin pause before it does.")
        await self._store.note(asked.line(job.id, after="on hold" if held else "released"))
        self._holds.set_job(job.id, held=held)
        self._apply_holds()
        if held:
            return _done(f"Job {job.id} of {_owner(job)} is on hold. Let it go on with /admin job … release.")
        return _done(f"Job {job.id} of {_owner(job)} is in line again.")

    def _apply_holds(self) -> None:
        jobs = [life.job for life in self._lives.values()]
        self._holds.apply(jobs)
        for job in jobs:
            if job.state is State.QUEUED:
                self._show(job)

    async def _pause(self, asked: Asked) -> Card:
        await self._stop(asked, paused=True)
        return _done("Paused: nothing more starts and nothing new is taken. /admin resume goes on.")

    async def _drain(self, asked: Asked) -> Card:
        await self._stop(asked, drained=True)
        return _done(
            "Nothing new is taken; what was accepted is painted. /admin resume takes requests again."
        )

    async def _resume(self, asked: Asked) -> Card:
        await self._stop(asked, paused=False, drained=False)
        house = await self._store.policy(HOUSE)
        if asked.tenant != HOUSE and (house.paused or house.drained):
            return _done("Resumed here; but those who run this Easel have stopped it everywhere.")
        return _done("Easel goes on.")

    async def _stop(self, asked: Asked, **changes: Any) -> None:
        await self._set(asked, lambda before: replace(before, **changes))
        await self.load()
        self._apply_holds()

    # ---- people

    def _whom(self, asked: Asked) -> str:
        """The member's id that was meant."""
        named: str = asked.options["person"]
        if ":" in named:
            return named
        if asked.origin.surface == "cli":
            raise Refusal(f"Say where {clip(named)} is from, as in discord:{clip(named)}.", code="missing")
        return f"{asked.origin.surface}:{named.casefold() if asked.origin.surface == 'web' else named}"

    async def _person(self, asked: Asked) -> Card:
        who = self._whom(asked)
        jobs = await self._store.recent(who, "" if asked.tenant == HOUSE else asked.tenant)
        last = jobs[0].origin.member if jobs else Member(tenant=asked.tenant, id=who, name=who)
        standing = await self._store.standing(replace(last, tenant=asked.tenant))
        rules, now = Rules(standing, self._tiers, last), self._store.now()
        lines = [f"Tier: {rules.tier.title}"]
        if jobs or asked.operator:  # what strangers used elsewhere is not for a place's administrators
            balances = await self._store.balances(standing.account, rules.tier)
            lines += [card.balance_line(each, now) for each in balances] or ["No limit."]
        own = [policy.allowance(each.allowance) for each in standing.persons if each.allowance]
        lines += [f"Their own allowance: {each}" for each in own]
        lines += [_blocked(each, now) for each in standing.persons if each.is_blocked(now)]
        lines += [f"Strikes: {each.strikes}" for each in standing.persons if each.strikes]
        lines += [_summary(job) for job in jobs] or ["Has asked for nothing here."]
        return _card(last.name, lines, facts=[who])

    async def _tier(self, asked: Asked) -> Card:
        who, tier = self._whom(asked), self._named_tier(asked)
        await self._set_person(asked, who, lambda before: replace(before, tier=tier.name if tier else ""))
        if tier is None:
            return _done(f"{who} has no tier of their own any more; their roles decide.")
        return _done(f"{who} is in the tier {tier.title} now.")

    def _named_tier(self, asked: Asked) -> Tier | None:
        """None for "none". Raises Refusal."""
        name: str = asked.options["tier"].strip().casefold()
        if name == NONE:
            return None
        tier = self._tiers.named(name)
        if tier is None:
            names = [each.name for each in self._tiers.all]
            raise Refusal(commands.unknown("tier called", name, [*names, NONE]), code="unknown")
        if tier.restricted and not asked.operator:
            raise Refusal(
                f"Only those who run this Easel give people the tier {tier.title}.", code="forbidden"
            )
        return tier

    async def _set_allowance(self, asked: Asked) -> Card:
        """Everywhere, like a gift: an account is used in all places."""
        who, allowance = self._whom(asked), _allowance(asked)
        await self._store.change_person(
            HOUSE, who, lambda before: replace(before, allowance=allowance), asked.note(who)
        )
        if allowance is None:
            return _done(f"{who} has the allowance of their tier again.")
        return _done(f"{who} may use {policy.allowance(allowance)}, whatever their tier.")

    async def _gift(self, asked: Asked) -> Card:
        who, seconds = self._whom(asked), asked.options["seconds"]
        gift = f"{card.amount(seconds)} s"
        if not await self._store.gift(who, seconds, asked.line(who), asked.key):
            return _done("That gift was given already.")
        return _done(f"{who} has {gift} more, to use whenever the allowance does not suffice.")

    async def _reset(self, asked: Asked) -> Card:
        who = self._whom(asked)
        await self._store.reset(who, asked.line(who), asked.key)
        return _done(f"What {who} used of their allowances is forgotten.")

    async def _block(self, asked: Asked) -> Card:
        who, hours = self._whom(asked), asked.options.get("hours")
        if who == asked.origin.member.id:
            raise Refusal("You cannot block yourself.")
        now = self._store.now()
        until = now + timedelta(hours=hours) if hours else None
        reason = _sentence(asked.options.get("reason", ""))
        ended = await self._store.block(
            asked.tenant,
            who,
            lambda before: replace(before, blocked=True, until=until, reason=reason),
            asked.note(who),
            reason="An administrator has blocked you.",
        )
        self._endings.take_out(ended)
        end = f"until {card.moment(until, now)}" if until else "until /admin unblock"
        return _done(f"{who} is blocked {end}. {_cancelled(len(ended))}")

    async def _unblock(self, asked: Asked) -> Card:
        who = self._whom(asked)
        await self._set_person(
            asked, who, lambda before: replace(before, blocked=False, until=None, reason="")
        )
        return _done(f"{who} may ask again.")

    async def _set_person(self, asked: Asked, who: str, change: Callable[[Person], Person]) -> None:
        await self._store.change_person(asked.tenant, who, change, asked.note(who))

    async def _invite(self, asked: Asked) -> Card:
        member, invitation = await self._logins.invite(asked.options["name"])
        await self._store.note(asked.line(member.id))
        return invitation

    async def _moderators(self, asked: Asked) -> Card:
        """Who may moderate here beside those whom the platform lets: shown, or changed."""
        names = [asked.options["role"]] if "role" in asked.options else []
        names += [self._whom(asked)] if "person" in asked.options else []
        if EVERYONE in map(str.casefold, names):
            raise Refusal("Not everyone can moderate. Name a role, a user group or a person.")
        removed = asked.options.get("rule") == "remove"

        def change(before: Policy) -> Policy:
            others = [each for each in before.moderators if each not in names]
            if len(others) + len(names) > MOST_TERMS:
                raise Refusal(f"A place has at most {MOST_TERMS} moderators. Remove one first.")
            return replace(before, moderators=(*others, *([] if removed else names)))

        found = await (
            self._set(asked, change, ", ".join(names)) if names else self._store.policy(asked.tenant)
        )
        return _card("Moderators here", [f"Named here: {', '.join(found.moderators) or 'nobody'}"])

    # ---- tiers and budgets

    async def _show_tiers(self, asked: Asked) -> Card:
        found = await self._store.policy(asked.tenant)
        lines = [_tier_line(tier) for tier in self._tiers.all]
        lines += [f"Role {role}: {self._title(tier)}" for role, tier in found.roles.items()]
        lines += [f"Everyone else here: {self._title(found.tier)}"] if found.tier else []
        return _card("Tiers", lines)

    def _title(self, name: str) -> str:
        tier = self._tiers.named(name)
        return tier.title if tier else f"{name}, which is in the file of tiers no more"

    async def _role(self, asked: Asked) -> Card:
        role, tier = asked.options["role"], self._named_tier(asked)

        def change(before: Policy) -> Policy:
            if role.casefold() == EVERYONE:
                return replace(before, tier=tier.name if tier else "")
            roles = {key: name for key, name in before.roles.items() if key != role}
            return replace(before, roles=roles | ({role: tier.name} if tier else {}))

        await self._set(asked, change, role)
        if tier is None:
            return _done(f"{role} has no tier any more.")
        return _done(f"{role} has the tier {tier.title} now.")

    async def _budget(self, asked: Asked) -> Card:
        if "seconds" not in asked.options:
            return await self._show_budgets(asked)
        channel, allowance = asked.options.get("channel", ""), _allowance(asked)

        def change(before: Policy) -> Policy:
            if channel:
                others = {key: each for key, each in before.channel_budgets.items() if key != channel}
                return replace(before, channel_budgets=others | ({channel: allowance} if allowance else {}))
            if before.budget_by_operator and not asked.operator:
                raise Refusal(
                    "Those who run this Easel have set this budget; only they change it.", code="forbidden"
                )
            return replace(before, budget=allowance, budget_by_operator=asked.operator and bool(allowance))

        await self._set(asked, change, channel)
        what = f"Channel {channel}" if channel else "All people together"
        if allowance is None:
            return _done(f"{what} may use as much as they like.")
        return _done(f"{what} may use {policy.allowance(allowance)}.")

    async def _show_budgets(self, asked: Asked) -> Card:
        found, now = await self._store.policy(asked.tenant), self._store.now()
        if found.budget is None and not found.channel_budgets:
            return _card("Budgets", ["There are none. /admin budget with a number of seconds sets one."])
        budgets = [
            replace(each, name=f"channel {channel}" if channel else "all people together")
            for channel in ("", *found.channel_budgets)
            for each in policy.budgets(Policy(), found, asked.tenant, channel)
            if each.account.endswith(f"/{channel}") == bool(channel)
        ]
        balances = await self._store.balances("", Tier(name=""), budgets)
        return _card("Budgets", [card.balance_line(each, now) for each in balances])

    # ---- what a place allows

    async def _channel(self, asked: Asked) -> Card:
        channel = asked.options.get("channel", "") or asked.origin.channel
        return await self._rule(asked, "channels", channel if "rule" in asked.options else "", {})

    async def _models(self, asked: Asked) -> Card:
        known = {model.name.casefold(): model.name for model in self._engine.models()}
        return await self._rule(asked, "models", asked.options.get("model", ""), known)

    async def _styles(self, asked: Asked) -> Card:
        style = asked.options.get("style", "")
        if style and asked.options.get("rule") != "clear":
            try:
                style = prompt.read_style(style)
            except Unusable as error:
                raise Refusal(str(error)) from error
        return await self._rule(asked, "styles", style, {each: each for each in presets.load().styles})

    async def _rule(self, asked: Asked, what: str, name: str, known: dict[str, str]) -> Card:
        """Show a filter of the place, or change its rule for one name; `known` are the names there are."""
        if not name:
            return _filter(what, getattr(await self._store.policy(asked.tenant), what))
        rule = asked.options.get("rule")
        if rule is None:
            raise Refusal("Say what to do with it: rule can be allow, refuse or clear.", code="missing")
        if known and rule != "clear" and name.casefold() not in known:
            raise Refusal(commands.unknown(what.removesuffix("s"), name, known.values()), code="unknown")
        name = known.get(name.casefold(), name)

        def change(before: Policy) -> Policy:
            after: Filter = getattr(before, what).ruled(name, rule)
            if known and not any(map(after.takes, known.values())):
                raise Refusal(f"Then no {what} would be left. Allow another one first.")
            changes: dict[str, Any] = {what: after}
            return replace(before, **changes)

        after = await self._set(asked, change, name)
        return _filter(what, getattr(after, what))

    async def _defaults(self, asked: Asked) -> Card:
        most = max(tier.max_count for tier in self._tiers.all)
        models = self._engine.models()

        def change(before: Policy) -> Policy:
            return replace(before, defaults=prompt.changed(before.defaults, asked.options, models, most))

        after = await (self._set(asked, change) if asked.options else self._store.policy(asked.tenant))
        return _card("Defaults here", card.defaults(after.defaults))

    async def _language(self, asked: Asked) -> Card:
        if language := asked.options.get("language"):
            chosen = "" if language == OWN else language
            after = await self._set(asked, lambda before: replace(before, language=chosen))
        else:
            after = await self._store.policy(asked.tenant)
        spoken = words.LANGUAGES.get(after.language, "the language of each person")
        return _done(f"Easel answers here in {spoken}.")

    async def _moderation(self, asked: Asked) -> Card:
        said = asked.options
        found = await (
            self._set(asked, lambda p: _moderated(p, said)) if said else self._store.policy(asked.tenant)
        )
        lines = [
            f"Strictness: {found.strictness}",
            f"Refused here: {', '.join(found.refused_terms) or 'nothing of its own'}",
            f"Allowed here: {', '.join(found.allowed_terms) or 'nothing of its own'}",
        ]
        return _card("Moderation", lines)

    async def _set(self, asked: Asked, change: Callable[[Policy], Policy], target: str = "") -> Policy:
        after = await self._store.change_policy(asked.tenant, change, asked.note(target))
        self._speech.place(asked.tenant, after)
        return after

    # ---- reports

    async def _reports(self, asked: Asked) -> Card:
        if asked.origin.member.admin or asked.operator:
            return await self._reviews.queue(asked.origin)
        return await self._reviews.listed(asked.origin, await self._access.rules(asked.origin.member))

    async def _decide(self, asked: Asked) -> Card:
        return await self._reviews.decide(asked.options["job"], asked.options["do"], asked.origin)

    # ---- records

    async def _audit(self, asked: Asked) -> Card:
        tenant = "" if asked.tenant == HOUSE else asked.tenant
        found = await self._store.audit(tenant, search=asked.options.get("search", ""))
        return _card("Audit", [*map(_audit_line, found)] or ["Nothing was changed yet."])

    async def _export(self, asked: Asked) -> Card:
        days = asked.options.get("days", 30)
        tenant = "" if asked.tenant == HOUSE else asked.tenant
        text, lines = [sheets.row(sheets.HEAD)], 0
        async for each in self._store.lines(tenant=tenant, since=datetime.now(UTC) - timedelta(days=days)):
            if lines == MOST_LINES:
                break
            lines += 1
            text.append(sheets.line(each))
        said = [f"{lines:,} lines of the last {days} days."]
        said += [f"There are more than {MOST_LINES:,}: choose fewer days."] if lines == MOST_LINES else []
        file = ("easel-ledger.csv", "".join(text).encode())
        return replace(_card("Ledger", said), files=(file,))


# --- words ------------------------------------------------------------------------------------------------


def _card(title: str, lines: Iterable[str], facts: Sequence[str] = ()) -> Card:
    return Card(kind="text", title=title, facts=tuple(facts), body=tuple(lines), private=True)


def _done(sentence: str) -> Card:
    return Card(kind="text", body=(sentence,), private=True)


def _cancelled(jobs: int) -> str:
    """What a block did to the person's jobs."""
    if not jobs:
        return "They had nothing waiting or running."
    return f"{jobs} of their jobs {'was' if jobs == 1 else 'were'} cancelled; nothing was charged."


def _owner(job: Job) -> str:
    return job.origin.member.name


def _worker(worker: WorkerStatus) -> str:
    state = f"{worker.jobs} jobs inside" if worker.ready else "is starting, or being replaced"
    if worker.out:
        state = "is out of service since it paints nothing, and the log tells why"
    loaded = f", {worker.models[-1]} loaded" if worker.models else ""
    return f"{worker.device}: {state}{loaded}, lost {worker.restarts} times since the start."


def _doing(lane: Lane) -> str:
    counts = {"painting": lane.running, "waiting": lane.waiting, "on hold": lane.held}
    parts = [f"{len(ids)} {what}" for what, ids in counts.items() if ids]
    return (
        ", ".join(parts)
        + f"; {card.span(lane.served)} since the start"
        + (" (relaxed)" if lane.relaxed else "")
    )


def _longest(lives: Iterable[LiveJob]) -> list[str]:
    """Who has waited longest, and the longest wait that is expected."""
    waiting = [life for life in lives if life.job.state is State.QUEUED]
    if not waiting:
        return ["Nobody waits."]
    oldest = min(life.job.created for life in waiting)
    so_far = max(0.0, (datetime.now(UTC) - oldest).total_seconds())
    expected = max((life.place.wait for life in waiting if life.place), default=0.0)
    return [
        f"The longest wait so far is {card.span(so_far)}; the last in line starts in {card.about(expected)}."
    ]


def _allowance(asked: Asked) -> Allowance | None:
    """What `seconds` and `per` say; none where that is 0."""
    seconds, per = asked.options["seconds"], asked.options.get("per", "month")
    return Allowance(seconds=seconds, per=per) if seconds else None


def _blocked(person: Person, now: datetime) -> str:
    end = f"until {card.moment(person.until, now)}" if person.until else "until /admin unblock"
    where = "everywhere" if person.tenant == HOUSE else "here"
    return f"Blocked {where} {end}. {person.reason}".rstrip()


def _summary(job: Job) -> str:
    """A job without its words where these are private."""
    what = clip(job.prompt, 60) if job.is_open() else "a private job"
    when = f"{job.created:%d %b %H:%M} UTC"
    return f"{what} · {job.state.value} · {card.span(job.device_seconds)} · {when} · {job.id}"


def _tier_line(tier: Tier) -> str:
    allowances = " and ".join(map(policy.allowance, tier.allowances)) or "no limit"
    priorities = " and ".join(tier.priorities)
    return (
        f"{tier.title} ({tier.name}): {allowances}; weight {tier.weight:g}; {tier.running} painting, "
        f"{tier.waiting} waiting; {tier.max_count} pictures, {tier.max_pixels / 1e6:.1f} megapixels, "
        f"{tier.max_steps} steps; {priorities}"
    )


def _filter(what: str, found: Filter) -> Card:
    lines = [f"Allowed: {', '.join(found.allowed)} only" if found.allowed else f"Allowed: all {what}"]
    lines += [f"Refused: {', '.join(found.refused)}"] if found.refused else []
    return _card(f"{what.capitalize()} here", lines)


def _moderated(before: Policy, said: dict[str, Any]) -> Policy:
    refused, allowed = list(before.refused_terms), list(before.allowed_terms)
    for name in ("refuse", "allow", "clear"):
        if term := prompt.clean(said.get(name, "")).casefold():
            refused = [each for each in refused if each != term] + [term] * (name == "refuse")
            allowed = [each for each in allowed if each != term] + [term] * (name == "allow")
    if max(len(refused), len(allowed)) > MOST_TERMS:
        raise Refusal(f"A list has at most {MOST_TERMS} words or phrases. Clear one first.")
    return replace(
        before,
        strictness=said.get("strictness", before.strictness),
        refused_terms=tuple(refused),
        allowed_terms=tuple(allowed),
    )


def _audit_line(line: AuditLine) -> str:
    change = f"{line.before or 'none'} → {line.after}" if line.before or line.after else ""
    place = "" if line.tenant == HOUSE else f" in {line.tenant}"
    words = (
        f"{line.at:%d %b %H:%M} UTC",
        f"{line.name} ({line.by}){place}",
        f"/{line.what} {line.target}".strip(),
        change,
    )
    return " · ".join(word for word in words if word)


def _sentence(text: str) -> str:
    """A reason as a sentence that others may follow."""
    text = prompt.clean(text)
    return text if not text or text[-1] in ".?!" else f"{text}."
