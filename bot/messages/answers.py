"""The answers to questions and to commands that make no picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from bot import commands
from bot.formats import about, amount, span
from bot.messages.job_cards import button, card_of, pictures_of, rows_of
from bot.messages.types import Bar, Card
from bot.models import Balance, Job, Login, Member, Preferences, Review, Tier, Use
from bot.options import Command, Option, clip
from bot.prompts.draft import PARAMS
from bot.prompts.styles import Style as Look
from bot.prompts.styles import load as load_styles
from engine.types import Lane

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
    return card_of(job, "text", body=tuple(line for line in lines if line))


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
    pictures = tuple(picture for job in found for picture in pictures_of(job)[:1])
    buttons = [
        button("show", job.id, label=str(number), name=f"Show {clip(job.prompt)}")
        for number, job in enumerate(found, start=1)
    ]
    return Card(kind="text", title=what, body=lines, pictures=pictures, rows=rows_of(buttons), private=True)


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
        f"Style: {load_styles().label(preferences.style) or 'none'}",
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
        pictures=pictures_of(job),
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
    return Card(kind="text", title="Reports", body=tuple(lines), rows=rows_of(buttons), private=True)


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
