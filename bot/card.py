"""A message as data: text, pictures, progress, rows of buttons. Adapters only render it.

One message, one life: it is posted when the request is accepted, changes while the job waits and paints,
and ends as the result. The builders below are the only place where its words stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from bot import actions, commands, presets
from bot.actions import ACTIONS, Action, ActionSpec, Kind, Style, Whose
from bot.errors import Refusal
from bot.models import Balance, Job, Login, Member, Preferences, Review, Tier, Use
from bot.options import Command, Option, clip
from bot.presets import Style as Look
from bot.prompts.draft import PARAMS
from engine.types import Lane, Place, Progress, TaskKind, Upscale


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A press that an adapter sends back as `id` (at most 64 bytes; see `actions`)."""

    id: str
    label: str  # at most 34 characters
    name: str  # for screen readers: "Upscale picture 1"
    icon: str = ""  # one emoji, decoration only
    style: Style = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPicture:
    """A stored picture, or a preview that lives only in this card."""

    alt: str
    width: int
    height: int
    blob: str = ""
    preview: bytes = b""  # WebP


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Progress of a running job, or a quota's use."""

    done: float  # 0 … 1
    label: str  # "10 of 20 steps"


GRID = -1
"""The index under which a job's grid is stored beside its pictures."""

Buttons = tuple[Button, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One message.

    `title` is a prompt or a heading: shown bold, first, escaped so that it pings nobody. `facts` are short
    phrases, shown in one line with " · " between them. `body` is further plain text, a line an item.
    """

    kind: Kind
    title: str = ""
    facts: tuple[str, ...] = ()
    link: str = ""  # an address of Easel's own, to be opened
    body: tuple[str, ...] = ()
    bar: Bar | None = None
    pictures: tuple[CardPicture, ...] = ()  # the grid first, then the single ones
    rows: tuple[Buttons, ...] = ()
    more: Buttons = ()  # behind ⋯: a menu, or a button that answers with them
    job: str = ""
    parent: str = ""  # the job this one was made from
    private: bool = False  # only the person who asked may see it
    adult: bool = False  # for age-restricted channels alone
    files: tuple[tuple[str, bytes], ...] = ()  # name and content of files to hand over that are no pictures
    language: str = "en"  # that its words are in; see `words`


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A question: the options of `command`, prefilled. Adapters show it as a modal or in the composer."""

    command: str
    title: str
    values: dict[str, str]  # option name → text as typed
    parent: str = ""
    language: str = "en"  # to ask it in


@dataclass(frozen=True, slots=True, kw_only=True)
class May:
    """What somebody may do with a job: the buttons that a card has for them."""

    tasks: frozenset[TaskKind] = frozenset(("text_to_image", "image_to_image", "upscale"))
    who: frozenset[Whose] = frozenset(get_args(Whose))  # what they are to the job

    def do(self, spec: ActionSpec, job: Job) -> bool:
        return self._can(spec, job) and not self.who.isdisjoint(spec.whose)

    def _can(self, spec: ActionSpec, job: Job) -> bool:
        """Tell whether there is a model for what the action does."""
        match spec.task:
            case "":
                return True
            case "same":
                return job.request.kind in self.tasks
            case "form":
                return bool({"text_to_image", job.request.before_upscale().kind} & self.tasks)
            case task:
                return task in self.tasks


ANYTHING = May()


# --- words ------------------------------------------------------------------------------------------------


def about(seconds: float) -> str:
    """Format a duration in seconds, rounded: "about 40 s", "about 3 min", "about 2 h"."""
    if seconds < 10:
        return f"about {max(1, round(seconds))} s"
    if seconds < 57.5:
        return f"about {5 * round(seconds / 5)} s"
    if seconds < 57.5 * 60:
        return f"about {max(1, round(seconds / 60))} min"
    return f"about {max(1, round(seconds / 3600))} h"


def span(seconds: float) -> str:
    """Format a measured duration in seconds: "12 s", "1 min 5 s", "1 h 3 min"."""
    if seconds < 0.95:
        return "under 1 s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def line_place(place: Place) -> str:
    """Format a job's position in the queue and its wait: "3rd in line, about 40 s"."""
    position = "next in line" if place.position == 1 else f"{ordinal(place.position)} in line"
    return f"{position}, {about(place.wait)}" if place.wait >= 1 else position


def amount(seconds: float) -> str:
    """Format device-seconds as a number to compare: "0.4", "4", "600"."""
    return f"{seconds:.1f}".removesuffix(".0") if seconds < 10 else f"{seconds:.0f}"


def sized(width: int, height: int) -> str:
    return f"{width} × {height}"


# --- buttons ----------------------------------------------------------------------------------------------

MOST_IN_A_ROW = 5
MOST_LETTERED = 4  # pictures that have buttons each; of more, each has its number


def button(action: actions.Name, job: str = "", index: int | None = None, **more: Any) -> Button:
    """Return the button of an action. `more` is what is not as declared."""
    return _button(actions.SPECS[action], job, index, **more)


def _button(spec: ActionSpec, job: str, index: int | None = None, **more: Any) -> Button:
    number = 0 if index is None else index + 1
    words: dict[str, Any] = {
        "id": Action(name=spec.name, job=job, index=index).id,
        "label": spec.label.format(n=number),
        "name": spec.spoken.format(n=number),
        "icon": spec.icon,
        "style": spec.style,
    }
    return Button(**(words | more))


def _of_picture(spec: ActionSpec, job: Job, index: int, *, alone: bool) -> Button:
    made = _button(spec, job.id, index)
    return replace(made, label=spec.alone) if alone else made


def _of_job(spec: ActionSpec, job: Job, kind: Kind) -> Button:
    made = _button(spec, job.id)
    return replace(made, label=spec.retry) if kind == "failed" and spec.retry else made


def of_whole(buttons: Iterable[Button]) -> Buttons:
    """Return those that are about a whole job, not one of its pictures."""
    return tuple(each for each in buttons if actions.parse(each.id).spec.about == "job")


def _specs(job: Job, kind: Kind, may: May) -> list[ActionSpec]:
    return [each for each in ACTIONS if kind in each.on and each.answers != "place" and may.do(each, job)]


def _singles(job: Job) -> list[int]:
    return sorted(each.index for each in job.pictures if each.index >= 0)


def _offered(job: Job, kind: Kind, may: May) -> dict[str, Any]:
    """Return the rows of buttons and what is behind ⋯, as fields of a card.

    Five rows of five are the most that a message may have: 16 numbers take four of them, and a press on one
    shows that picture alone with its own buttons.
    """
    specs = _specs(job, kind, may)
    indexes = _singles(job)
    shown = [each for each in specs if not each.overflow]
    whole = tuple(_of_job(each, job, kind) for each in shown if each.about == "job")
    rows = (*_strips(shown, job, indexes), whole)
    if len(indexes) == 1:
        rows = (tuple(each for row in rows for each in row),)
    behind = [each for each in specs if each.overflow]
    more = [each for row in _lettered(behind, job, indexes) for each in row]
    more += [_of_job(each, job, kind) for each in behind if each.about == "job"]
    return {"rows": tuple(row for row in rows if row), "more": tuple(more)}


def _strips(specs: Sequence[ActionSpec], job: Job, indexes: Sequence[int]) -> tuple[Buttons, ...]:
    if len(indexes) <= MOST_LETTERED:
        return _lettered(specs, job, indexes)
    return _rows([button("pick", job.id, index=index) for index in indexes])


def _lettered(specs: Sequence[ActionSpec], job: Job, indexes: Sequence[int]) -> tuple[Buttons, ...]:
    """Return a row for each action on a picture, with a button per picture; empty rows for many pictures."""
    few = indexes if len(indexes) <= MOST_LETTERED else ()
    alone = len(indexes) == 1
    return tuple(
        tuple(_of_picture(each, job, index, alone=alone) for index in few)
        for each in specs
        if each.about == "picture"
    )


def _rows(buttons: Sequence[Button]) -> tuple[Buttons, ...]:
    starts = range(0, len(buttons), MOST_IN_A_ROW)
    return tuple(tuple(buttons[start : start + MOST_IN_A_ROW]) for start in starts)


def rows_with_more(card: Card) -> tuple[Buttons, ...]:
    """Return the rows with ⋯ as a button, for messages that have no menus; a press on it answers `more`."""
    if not card.more:
        return card.rows
    *rows, last = card.rows or ((),)
    dots = button("more", card.job)
    return (*rows, *((*last, dots),)) if len(last) < MOST_IN_A_ROW else (*rows, last, (dots,))


# --- the life of a job ------------------------------------------------------------------------------------


def _of(job: Job, kind: Kind, **more: Any) -> Card:
    return Card(
        kind=kind,
        title=more.pop("title", job.prompt),
        adult=more.pop("adult", any(each.adult for each in job.pictures)),
        job=job.id,
        parent=job.parent or "",
        private=job.origin.private,
        body=more.pop("body", (job.note,) if job.note and kind in _NOTED else ()),
        **more,
    )


_NOTED: tuple[Kind, ...] = ("waiting", "painting", "done")


def waiting(
    job: Job,
    place: Place | None = None,
    balance: Balance | None = None,
    may: May = ANYTHING,
    *,
    held: bool = False,
) -> Card:
    """Build the card of a job in the queue or on hold. `balance` is the tightest, after this job's hold."""
    stand = "on hold" if held else line_place(place) if place else "in line"
    facts = (f"for @{job.origin.member.name}", stand, *_cost(job, balance))
    return _of(job, "waiting", facts=facts, **_offered(job, "waiting", may))


def _cost(job: Job, balance: Balance | None) -> Iterator[str]:
    if job.relaxed:
        yield "free, behind the others"
        return
    cost = f"costs about {amount(job.estimate)}"
    if balance is None:
        yield f"{cost} s"
        return
    whose = f"{balance.name}’s" if balance.name else "your"
    yield f"{cost} of {whose} {amount(balance.left + job.estimate)} s"
    more = int(balance.left * job.request.count / job.estimate + 1e-6) if job.estimate else 0
    if more:
        yield f"about {more} more such pictures left"


def painting(
    job: Job, progress: Progress | None = None, left: float | None = None, may: May = ANYTHING
) -> Card:
    """Build a running job's card. `left`: expected seconds to the end; previews stay until the next."""
    done = progress.step / max(1, progress.steps) if progress else 0.0
    label = f"{progress.step} of {progress.steps} steps" if progress else "starting"
    preview = progress.preview if progress and progress.preview else b""
    size = (job.request.width, job.request.height)
    return _of(
        job,
        "painting",
        facts=() if left is None else (about(left),),
        bar=Bar(done=min(1.0, done), label=label),
        pictures=(_preview(job, preview, size),) if preview else (),
        **_offered(job, "painting", may),
    )


def _preview(job: Job, preview: bytes, size: tuple[int, int]) -> CardPicture:
    return CardPicture(alt=f"{job.prompt}, not finished", width=size[0], height=size[1], preview=preview)


def done(job: Job, may: May = ANYTHING) -> Card:
    """Build the result's card: the grid and the single pictures, with buttons for what can be done next."""
    if isinstance(job.request.task, Upscale):
        return upscaled(job, may)
    return _of(job, "done", facts=_facts(job), pictures=_pictures(job), **_offered(job, "done", may))


def _facts(job: Job) -> tuple[str, ...]:
    known = presets.load()
    facts = (
        known.label(job.style),
        known.shape(job.request.width, job.request.height),
        f"seed {job.request.seed}",
        job.request.model,
        span(job.device_seconds),
    )
    return tuple(fact for fact in facts if fact)


def _pictures(job: Job) -> tuple[CardPicture, ...]:
    """Return the stored pictures, the grid (index −1) first."""
    several = sum(each.index >= 0 for each in job.pictures) > 1
    return tuple(
        CardPicture(
            alt=f"{job.prompt}, picture {each.index + 1}" if several and each.index >= 0 else job.prompt,
            width=each.width,
            height=each.height,
            blob=each.blob,
        )
        for each in sorted(job.pictures, key=lambda each: each.index)
    )


def upscaled(job: Job, may: May = ANYTHING) -> Card:
    """Build the card of an enlarged picture."""
    assert isinstance(job.request.task, Upscale)
    number = (job.parent_index or 0) + 1
    size = sized(job.request.width, job.request.height)
    facts = [f"picture {number}, {job.request.task.factor}× ({size})"]
    facts += ["from an earlier picture"] if job.parent else []
    offered = _offered(job, "upscaled", may)
    return _of(job, "upscaled", facts=tuple(facts), pictures=_pictures(job), **offered)


def result(job: Job) -> Kind:
    """Return the kind of a finished job's card: "upscaled" or "done"."""
    return "upscaled" if isinstance(job.request.task, Upscale) else "done"


def more(job: Job, may: May = ANYTHING) -> Card:
    """Build the private card with the further actions that the ⋯ button of a finished job opens."""
    rows = _rows(_offered(job, result(job), may)["more"])
    return Card(kind="text", title=job.prompt, rows=rows, job=job.id, private=True)


def picked(job: Job, index: int, may: May = ANYTHING) -> Card:
    """Build the card of one picture of a large grid, with the buttons that the grid has no room for."""
    pictures = [each for each in job.pictures if each.index == index]
    shown = replace(job, pictures=tuple(pictures))
    specs = _specs(job, "done", may)
    buttons = tuple(_of_picture(each, job, index, alone=True) for each in specs if each.about == "picture")
    facts = (f"picture {index + 1}", *(f"seed {each.seed}" for each in pictures))
    return _of(job, "text", facts=facts, pictures=_pictures(shown), rows=(buttons,))


def refused(refusal: Refusal) -> Card:
    """Build a refusal's card. An offer is a button where its text fits into one, else a line to copy."""
    ids = {offer: offer.button or Action(name="try", text=offer.text).id for offer in refusal.offers}
    buttons = tuple(
        Button(id=id, label=offer.label[:34], name=offer.label, style="primary")
        for offer, id in ids.items()
        if actions.fits(id)
    )
    long = [offer.text for offer, id in ids.items() if not actions.fits(id)]
    return Card(
        kind="refused",
        body=(refusal.notice, *long),
        rows=(buttons,) if buttons else (),
        private=True,
    )


def failed(job: Job, may: May = ANYTHING) -> Card:
    reason = f"{job.reason} Nothing was charged.".lstrip()
    return _of(job, "failed", body=(reason,), **_offered(job, "failed", may))


def cancelled(job: Job, may: May = ANYTHING) -> Card:
    why = (job.reason,) if job.reason else ()
    facts = ("cancelled, nothing charged",)
    return _of(job, "cancelled", facts=facts, body=why, **_offered(job, "cancelled", may))


def withheld(card: Card) -> Card:
    """Replace a card's text and pictures by the notice that only age-restricted channels show them."""
    line = "These pictures are shown in age-restricted channels only, and this is none."
    rows = tuple(row for row in map(of_whole, card.rows) if row)
    bare = replace(card, title="", facts=(), body=(line,), pictures=(), adult=False)
    return replace(bare, rows=rows, more=of_whole(card.more))


def deleted(job: Job) -> Card:
    """Build the card of a deleted job, which says nothing of what it was."""
    return Card(
        kind="deleted", body=("These pictures were deleted.",), job=job.id, private=job.origin.private
    )


# --- answers to questions ---------------------------------------------------------------------------------

_MADE = {
    "upscale": "enlarged from",
    "vary_subtle": "subtle variations of",
    "vary_strong": "strong variations of",
    "again": "painted again from",
    "edit": "edited from",
}


def info(job: Job, parents: Sequence[Job] = (), text: str = "") -> Card:
    """Build the card of all facts of a job. `parents`: its origins, nearest first. `text` paints it again."""
    lines = [
        *(each.told(job) for each in PARAMS.values()),
        f"Cost: {span(job.device_seconds)} of the device",
        *_lineage(job, parents),
        f"Asked for by {job.origin.member.name}",
        f"Job: {job.id}",
        f"To paint it again: {text}" if text else "",
    ]
    return _of(job, "text", body=tuple(line for line in lines if line))


def _lineage(job: Job, parents: Sequence[Job]) -> Iterator[str]:
    for child, parent in zip((job, *parents), parents, strict=False):
        of = "" if child.parent_index is None else f"picture {child.parent_index + 1} of "
        yield f"Origin: {_MADE.get(child.action, 'made from')} {of}{parent.id} “{clip(parent.prompt)}”"


MOST_LANES = 15
"""People that a list of those in line names."""


def queue(lanes: Sequence[Lane], jobs: Mapping[str, Job], member: Member, account: str) -> Card:
    """Build the list of queued and running jobs in the order of their turns. Only `jobs` have names."""
    if not lanes:
        return Card(
            kind="text", title="In line", body=("Nobody waits. A prompt starts at once.",), private=True
        )
    lines = [
        f"{number}. {_who(lane, jobs, member, account)}: {_doing(lane)}"
        for number, lane in enumerate(lanes[:MOST_LANES], start=1)
    ]
    if len(lanes) > MOST_LANES:
        lines.append(f"and {len(lanes) - MOST_LANES} more people")
    waiting_jobs = sum(len(lane.waiting) for lane in lanes)
    people = "1 person" if len(lanes) == 1 else f"{len(lanes)} people"
    facts = (people, f"{_jobs(waiting_jobs)} waiting")
    return Card(kind="text", title="In line", facts=facts, body=tuple(lines), private=True)


def _who(lane: Lane, jobs: Mapping[str, Job], member: Member, account: str) -> str:
    if lane.user == account:
        return "you"
    known = (jobs[id].origin.member.name for id in (*lane.running, *lane.waiting) if id in jobs)
    return next(known, "someone" if lane.tenant == member.tenant else "someone elsewhere")


def _doing(lane: Lane) -> str:
    parts = [f"{_jobs(len(lane.running))} painting"] if lane.running else []
    parts += [f"{_jobs(len(lane.waiting))} waiting"] if lane.waiting else []
    return ", ".join(parts)


def _jobs(number: int) -> str:
    return "1 job" if number == 1 else f"{number} jobs"


def history(jobs: Sequence[Job], *, search: str = "") -> Card:
    """Build the list of ten jobs at most, newest first, each with a button that shows it again."""
    found = jobs[:10]
    what = f"Pictures with “{clip(search)}”" if search else "Pictures"
    if not found:
        return Card(kind="text", title=what, body=("There are none yet.",), private=True)
    lines = tuple(f"{number}. {_summary(job)}" for number, job in enumerate(found, start=1))
    pictures = tuple(picture for job in found for picture in _pictures(job)[:1])
    buttons = [
        button("show", job.id, label=str(number), name=f"Show {clip(job.prompt)}")
        for number, job in enumerate(found, start=1)
    ]
    return Card(kind="text", title=what, body=lines, pictures=pictures, rows=_rows(buttons), private=True)


def _summary(job: Job) -> str:
    state = "" if job.state.value == "rendered" else f"{_STATES[job.state.value]} · "
    return f"{clip(job.prompt, 80)} · {state}{job.created:%d %b %H:%M} UTC · {job.id}"


_STATES = {
    "queued": "in line",
    "running": "painting",
    "failed": "failed",
    "cancelled": "cancelled",
    "deleted": "deleted",
}


def quota(tier: Tier, balances: Sequence[Balance], recent: Sequence[Job], now: datetime, cost: float) -> Card:
    """Build the card of used and left allowances; `cost` is an ordinary picture's, in device-seconds."""
    own = [each for each in balances if not each.name]
    first, others = (own[0], own[1:]) if own else (None, [])
    left = min((each.left for each in balances if each.name != "gift"), default=None)
    facts = [f"tier {tier.title}"]
    facts += [] if left is None else [f"{amount(left)} s left"]
    facts += [] if left is None or not cost else [f"about {int(left / cost)} pictures"]
    facts += [resets(first, now)] if first else ["no limit"]
    further = [each for each in balances if each.name]
    lines = [balance_line(each, now) for each in (*others, *further)]
    lines += [f"{clip(job.prompt, 60)} · {span(job.device_seconds)} · {job.id}" for job in recent]
    return Card(
        kind="text",
        title="Your allowance",
        facts=tuple(facts),
        body=tuple(lines),
        bar=Bar(done=_used(first), label=used(first)) if first else None,
        private=True,
    )


def used(balance: Balance) -> str:
    """Format how much of an allowance is used: "4 of 600 s used this week"."""
    period = {"day": " today", None: ""}.get(balance.per, f" this {balance.per}")
    return f"{amount(balance.used)} of {amount(balance.cap)} s used{period}"


def _used(balance: Balance) -> float:
    return min(1.0, balance.used / balance.cap) if balance.cap else 1.0


def resets(balance: Balance, now: datetime) -> str:
    """Format when an allowance resets."""
    if balance.resets is None:
        return "stays until it is used"
    wait = about((balance.resets - now).total_seconds()).removeprefix("about ")
    return f"resets at {moment(balance.resets, now)}, in {wait}"


def moment(when: datetime, now: datetime) -> str:
    """Format a time as "14:30 UTC" within a day of now, else as "28 Nov, 14:30 UTC"."""
    near = abs((when - now).total_seconds()) < 86_400
    return f"{when.astimezone(UTC):{'%H:%M' if near else '%d %b, %H:%M'}} UTC"


def balance_line(balance: Balance, now: datetime) -> str:
    """Format a balance as a bar, the amount used, and when it resets."""
    whose = {"": "", "gift": "Your gifts: "}.get(balance.name, f"{balance.name.capitalize()}: ")
    return f"{meter(_used(balance))} {whose}{used(balance)}, {resets(balance, now)}"


def meter(done: float) -> str:
    """Draw `done`, a share from 0 to 1, as a text bar of ten characters."""
    full = min(10, max(0, round(done * 10)))
    return "▰" * full + "▱" * (10 - full)


def link_code(code: str) -> Card:
    lines = (
        code,
        "Type /link with this code on the other side within ten minutes. Both sides then share one account: "
        "its allowance, its history and its place in the line.",
    )
    return Card(kind="text", title="Your code", body=lines, private=True)


def linked(members: Sequence[str]) -> Card:
    names = f"{', '.join(members[:-1])} and {members[-1]}" if len(members) > 1 else members[0]
    body = (f"{names} share one account now: its allowance, its history and its place in the line.",)
    return Card(kind="text", title="Linked", body=body, private=True)


def unlinked() -> Card:
    body = (
        "You have an account of your own again. What the shared one has used counts in both; its gifts, and "
        "what you have in line, stay with it.",
    )
    return Card(kind="text", title="No longer linked", body=body, private=True)


TEAM_SPAN = timedelta(days=7)
TEAM = 10  # people named


def team(uses: Sequence[Use]) -> Card:
    """Build the card of what each person of a place used lately, the largest use first."""
    sums: dict[str, tuple[str, int, float]] = {}
    for use in uses:
        _, jobs, seconds = sums.get(use.key, ("", 0, 0.0))
        sums[use.key] = (use.name, jobs + use.jobs, seconds + use.seconds)
    total = span(sum(seconds for _, _, seconds in sums.values()))
    facts = (f"{_jobs(sum(jobs for _, jobs, _ in sums.values()))}, {total} of the device",) if sums else ()
    sums.pop("", None)
    most = sorted(sums.values(), key=lambda each: -each[2])
    lines = [f"{name}: {_jobs(jobs)}, {span(seconds)}" for name, jobs, seconds in most[:TEAM]]
    more = max(0, len(most) - TEAM) + max((use.others for use in uses), default=0)
    lines += [f"and {more} more people"] if more else []
    body = tuple(lines) or ("Nobody has asked for pictures.",)
    return Card(
        kind="text", title=f"The team in the last {TEAM_SPAN.days} days", facts=facts, body=body, private=True
    )


def styles(known: Iterable[Look]) -> Card:
    lines = tuple(f"{style.name}: {style.help}" for style in known)
    use = 'Use one with --style, as in --style "oil painting", or say "as pixel art" at the end.'
    return Card(kind="text", title="Styles", body=(*lines, use), private=True)


def settings(preferences: Preferences, logins: Sequence[Login] = ()) -> Card:
    """Build the card of a person's defaults and of their logins to the web studio."""
    lines = [
        *defaults(preferences),
        f"Prompt in the files: {'yes' if preferences.tells_prompt else 'no'}",
        "Change them with /settings; its option reset goes back to the studio's own.",
    ]
    if logins:
        lines += [f"Logged in to the web studio: {each.browser}, since {_day(each.made)}" for each in logins]
        lines.append("Log them all out with the option logout of /settings, or one in the studio's settings.")
    return Card(kind="text", title="Your settings", body=tuple(lines), private=True)


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


def studio_link(url: str, *, here_only: bool) -> Card:
    """Build the card with a login link to the web studio, for the person who asked alone."""
    lines = [
        "This link logs one browser in as you, once, within ten minutes. Keep it to yourself.",
        "/settings shows where you are logged in.",
    ]
    return Card(
        kind="text", title="The web studio", link=url, body=(*lines, *_reach(here_only)), private=True
    )


def invitation(name: str, url: str, *, here_only: bool) -> Card:
    """Build the card with a login link to the web studio, to hand to the person `name`."""
    lines = (f"This link logs one browser in as {name}, once, within seven days. Give it to them alone.",)
    return Card(
        kind="text",
        title=f"Invitation for {name}",
        link=url,
        body=(*lines, *_reach(here_only)),
        private=True,
    )


def _reach(here_only: bool) -> tuple[str, ...]:
    if not here_only:
        return ()
    return (
        "It opens on the machine that Easel runs on, and nowhere else. For other machines an operator sets "
        "WEB_URL.",
    )


def defaults(preferences: Preferences) -> tuple[str, ...]:
    own = "the studio's own"
    return (
        f"Style: {presets.load().label(preferences.style) or 'none'}",
        f"Model: {preferences.model or own}",
        f"Count: {preferences.count or own}",
        f"Shape: {preferences.aspect or preferences.size.replace('x', ' × ') or own}",
        f"Private: {'yes' if preferences.private else 'no'}",
    )


def help(command: Command | None = None, shown: Sequence[Command] = (), *, admin: bool = False) -> Card:
    """Build the help for one command, or for all in `shown`; `admin` points at the administrator's."""
    if command is None:
        lines = [f"/{each.name}: {each.help}" for each in shown or commands.FOR_ALL]
        lines.append("/help imagine shows every flag.")
        lines += ["/help admin shows what administrators can do."] if admin else []
        return Card(kind="text", title="Easel paints what you describe", body=tuple(lines), private=True)
    lines = [command.help, *map(_option_help, command.options)]
    lines += [f"Example: /{command.name} {example}" for example in command.examples]
    return Card(kind="text", title=f"/{command.name}", body=tuple(lines), private=True)


def _option_help(option: Option) -> str:
    names = ", ".join(f"--{flag}" for flag in option.flags) or option.name
    parts = [f"{names}: {option.help}"]
    if option.kind in ("integer", "number") and option.maximum is not None:
        parts.append(f"{option.minimum or 0:.0f} to {option.maximum:.0f}.")
    if option.choices:
        parts.append(f"{' or '.join(option.choices).capitalize()}.")
    if option.default:
        parts.append(f"Left out: {option.default}.")
    return " ".join(parts)


# --- moderation and privacy -------------------------------------------------------------------------------


def reported(new: bool) -> Card:
    line = "Thank you. The administrators will look at it." if new else "You reported this already."
    return Card(kind="text", body=(line,), private=True)


def review(job: Job, waiting: Review, count: int) -> Card:
    """Build the card of a reported job for an administrator, with buttons to keep or remove it."""
    return Card(
        kind="text",
        title=job.prompt,
        facts=(f"{_jobs(count)} to decide", _reporters(waiting)),
        body=(f"Asked for by {job.origin.member.name}", f"Job: {job.id}"),
        pictures=_pictures(job),
        rows=((button("keep", job.id), button("remove", job.id)),),
        private=True,
    )


def reports(found: Sequence[tuple[Job, Review]]) -> Card:
    """Build the list of reported jobs, each with a button that shows the job and its delete button."""
    if not found:
        return nothing_to_review()
    lines = [
        f"{number}. {clip(job.prompt, 80)} · {_reporters(review)} · {job.id}"
        for number, (job, review) in enumerate(found[:10], start=1)
    ]
    buttons = [
        button("show", job.id, label=str(number), name=f"Show {clip(job.prompt)}")
        for number, (job, _) in enumerate(found[:10], start=1)
    ]
    return Card(kind="text", title="Reports", body=tuple(lines), rows=_rows(buttons), private=True)


def _reporters(review: Review) -> str:
    return f"reported by {'1 person' if review.reports == 1 else f'{review.reports} people'}"


def nothing_to_review() -> Card:
    return Card(kind="text", title="Reports", body=("Nothing waits for a decision.",), private=True)


def exported(name: str, content: bytes, jobs: int, part: int, parts: int) -> Card:
    lines = [f"{_jobs(jobs)}, with their pictures, your ledger and your defaults."]
    if part < parts:
        lines.append(f"This is part {part} of {parts}. /privacy export part: {part + 1} gives the next.")
    return Card(kind="text", title="Your data", body=tuple(lines), private=True, files=((name, content),))


def forget(token: str) -> Card:
    lines = (
        "This deletes all your pictures, prompts and defaults, here and under every name you linked, and "
        "stops your jobs. It cannot be undone.",
        "What you used of your allowance is kept without your name until its period ends, and so is a block.",
    )
    return Card(
        kind="text", title="Delete my data", body=lines, rows=((button("forget", token),),), private=True
    )


def forgotten(names: int) -> Card:
    under = "" if names == 1 else f" under all {names} names"
    lines = (f"Your data are deleted{under}. Messages that showed your pictures are changed one by one.",)
    return Card(kind="text", title="Deleted", body=lines, private=True)
