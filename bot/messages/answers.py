"""The answers to questions and to commands that make no picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bot import commands
from bot.accounts.remaining import affordable, images_left, tightest
from bot.formats import amount, clock, date, rounded, span
from bot.i18n import _, either, join, listing, ngettext
from bot.images.file_formats import label as format_label
from bot.messages import marks
from bot.messages.job_cards import button, card_of, coming_model, pictures_of, rows_of
from bot.messages.types import Bar, Card
from bot.models import ApiKey, Balance, Job, Login, Member, Preferences, Review, Spent, Tier, Use
from bot.options import Command, Option, clip
from bot.prompts.draft import PARAMS
from bot.prompts.styles import Style as Look
from bot.prompts.styles import load as load_styles
from engine.prices import PARTS
from engine.types import Lane, Loading

# --- answers to questions ---------------------------------------------------------------------------------

_MADE = {
    "upscale": _("Origin: upscaled from {parent}"),
    "upscale_creative": _("Origin: upscaled creatively from {parent}"),
    "cut_out": _("Origin: cut out of {parent}"),
    "vary_subtle": _("Origin: subtle variations of {parent}"),
    "vary_strong": _("Origin: strong variations of {parent}"),
    "again": _("Origin: generated again from {parent}"),
    "full": _("Origin: painted in full from the draft {parent}"),
    "edit": _("Origin: edited from {parent}"),
}
_MADE_FROM = _("Origin: made from {parent}")


def info(job: Job, parents: Sequence[Job] = (), text: str = "", *, compared: bool = False) -> Card:
    """Build the card of all facts of a job.

    `parents`: its origins, nearest first. `text` paints it again. `compared`: calls of its model are joined
    because a comparison has shown that they may be.
    """
    lines = [
        *(each.told(job) for each in PARAMS.values()),
        _("Cost: {span} of GPU time", span=span(job.device_seconds)),
        _joined(job, compared=compared),
        *_lineage(job, parents),
        _("Requested by {name}", name=job.origin.member.name),
        _("Job: {id}", id=job.id),
        _("To generate it again: {text}", text=text) if text else "",
    ]
    return card_of(job, "text", body=tuple(line for line in lines if line))


def _joined(job: Job, *, compared: bool) -> str:
    """Return that the job's pictures shared passes, whose last bits depend on what else is in them."""
    if not any(each.joined for each in job.singles):
        return ""
    if compared:
        return _(
            "Generated together with other images, as this model's images were the same alone when Easel "
            "compared them. --reproducible makes the same image to the last bit."
        )
    return _("Generated together with other images. --reproducible makes the same image to the last bit.")


def _lineage(job: Job, parents: Sequence[Job]) -> Iterator[str]:
    for child, parent in zip((job, *parents), parents, strict=False):
        named = _("{job} “{prompt}”", job=parent.id, prompt=clip(parent.prompt))
        if child.parent_index is not None:
            named = _("image {number} of {job}", number=child.parent_index + 1, job=named)
        yield _MADE.get(child.action, _MADE_FROM).format(parent=named)


MOST_LANES = 15
"""People that a list of those in line names."""


def queue(
    lanes: Sequence[Lane],
    jobs: Mapping[str, Job],
    member: Member,
    account: str,
    loading: Iterable[Loading] = (),
) -> Card:
    """Build the list of queued and running jobs in the order of their turns. Only `jobs` have names.

    `loading`: the models that are being loaded.
    """
    if not lanes:
        return Card(
            kind="text",
            title=_("Queue"),
            body=(_("The queue is empty. Your prompt will start right away."),),
            private=True,
        )
    lines = [
        _(
            "{number}. {who}: {doing}",
            number=number,
            who=_who(lane, jobs, member, account),
            doing=_doing(lane),
        )
        for number, lane in enumerate(lanes[:MOST_LANES], start=1)
    ]
    if len(lanes) > MOST_LANES:
        more = len(lanes) - MOST_LANES
        lines.append(_more(more))
    waiting_jobs = sum(len(lane.waiting) for lane in lanes)
    people = ngettext("{count} person", "{count} people", len(lanes))
    coming = (coming_model(each) for each in dict.fromkeys(loading))
    facts = (people, _waiting(waiting_jobs), *coming)
    return Card(kind="text", title=_("Queue"), facts=facts, body=tuple(lines), private=True)


def _more(people: int) -> str:
    return ngettext("and {count} more person", "and {count} more people", people)


def _who(lane: Lane, jobs: Mapping[str, Job], member: Member, account: str) -> str:
    if lane.user == account:
        return _("you")
    known = (jobs[id].origin.member.name for id in (*lane.running, *lane.waiting) if id in jobs)
    return next(known, _("someone") if lane.tenant == member.tenant else _("someone elsewhere"))


def _doing(lane: Lane) -> str:
    running, waiting = len(lane.running), len(lane.waiting)
    parts = [ngettext("{count} job generating", "{count} jobs generating", running)] if running else []
    parts += [_waiting(waiting)] if waiting else []
    return join(", ", parts)


def _waiting(jobs: int) -> str:
    return ngettext("{count} job waiting", "{count} jobs waiting", jobs)


def _jobs(number: int) -> str:
    return ngettext("{count} job", "{count} jobs", number)


def history(jobs: Sequence[Job], *, search: str = "") -> Card:
    """Build the list of ten jobs at most, newest first, each with a button that shows it again."""
    found = jobs[:10]
    what = _("Images with “{search}”", search=clip(search)) if search else _("Images")
    if not found:
        return Card(kind="text", title=what, body=(_("There are none yet."),), private=True)
    lines = tuple(join(". ", (str(number), _summary(job))) for number, job in enumerate(found, start=1))
    pictures = tuple(picture for job in found for picture in pictures_of(job)[:1])
    buttons = [
        button("show", job.id, label=str(number), name=_("Show {prompt}", prompt=clip(job.prompt)))
        for number, job in enumerate(found, start=1)
    ]
    return Card(kind="text", title=what, body=lines, pictures=pictures, rows=rows_of(buttons), private=True)


def favourites(jobs: Sequence[Job], *, search: str = "", page: int = 1, more: bool = False) -> Card:
    """Build a page of what somebody has marked, as the history is built; `more`: another page follows."""
    if not jobs:
        line = _("There are none here. ⭐ in the ⋯ menu of a result adds it.")
        line = _("There are no more.") if page > 1 else _("Nothing matches.") if search else line
        return Card(kind="text", title=_("Your favourites"), body=(line,), private=True)
    further = (_("/favourites page: {next} shows more.", next=page + 1),) if more else ()
    shown = history(jobs)
    return replace(shown, title=_("Your favourites"), body=(*shown.body, *further))


def favoured(added: bool) -> Card:
    line = _("It is one of your favourites now: /favourites shows them.")
    line = line if added else _("It is no longer one of your favourites.")
    return Card(kind="text", body=(line,), private=True)


def _summary(job: Job) -> str:
    state = "" if job.state.value == "rendered" else STATES[job.state.value]
    return join(" · ", (clip(job.prompt, 80), state, date(job.created), job.id))


STATES = {
    "queued": _("in queue"),
    "running": _("generating"),
    "rendered": _("done"),
    "failed": _("failed"),
    "cancelled": _("cancelled"),
    "deleted": _("deleted"),
}


def quota(tier: Tier, balances: Sequence[Balance], recent: Sequence[Job], now: datetime, cost: float) -> Card:
    """Build the card of used and left allowances; `cost` is an ordinary picture's, in device-seconds."""
    own = [each for each in balances if not each.name]
    first, others = (own[0], own[1:]) if own else (None, [])
    limited = tightest(balances) is not None
    facts = [told] if (told := images_left(balances, cost)) else []
    facts += [_("{seconds} GPU seconds left", seconds=amount(affordable(balances)))] if limited else []
    facts += [_("tier {title}", title=tier.title)]
    facts += [resets(first, now, when)] if first else [_("no limit")]
    further = [each for each in balances if each.name]
    lines = [balance_line(each, now) for each in (*others, *further)]
    lines += [join(" · ", (clip(job.prompt, 60), span(job.device_seconds), job.id)) for job in recent]
    return Card(
        kind="text",
        title=_("Your quota"),
        facts=tuple(facts),
        body=tuple(lines),
        bar=Bar(done=_used(first), label=used(first)) if first else None,
        private=True,
    )


def used(balance: Balance) -> str:
    """Format how much of an allowance is used: "4 of 600 GPU seconds used this week"."""
    return _USED[balance.per].format(used=amount(balance.used), cap=amount(balance.cap))


_USED = {
    None: _("{used} of {cap} GPU seconds used"),
    "hour": _("{used} of {cap} GPU seconds used this hour"),
    "day": _("{used} of {cap} GPU seconds used today"),
    "week": _("{used} of {cap} GPU seconds used this week"),
    "month": _("{used} of {cap} GPU seconds used this month"),
}


def _used(balance: Balance) -> float:
    return min(1.0, balance.used / balance.cap) if balance.cap else 1.0


def resets(balance: Balance, now: datetime, told: Callable[[datetime, datetime], str] | None = None) -> str:
    """Format when an allowance resets; `told` formats the moment, if not as `moment` does."""
    if balance.resets is None:
        return _("stays until it is used")
    wait = rounded((balance.resets - now).total_seconds())
    return _("resets at {when}, in {wait}", when=(told or moment)(balance.resets, now), wait=wait)


def moment(when: datetime, now: datetime) -> str:
    """Format a time as "14:30 UTC" within a day of now, else as "28 Nov 14:30 UTC"."""
    near = abs((when - now).total_seconds()) < 86_400
    return clock(when) if near else date(when)


def when(moment_: datetime, now: datetime) -> str:
    """Return a moment to show in the reader's zone where the surface can, else as `moment` has it."""
    return marks.time(moment_, moment(moment_, now))


def balance_line(balance: Balance, now: datetime) -> str:
    """Format a balance as a bar, the amount used, and when it resets."""
    name = _("Your gifts") if balance.name == "gift" else balance.name
    state = join(", ", (used(balance), resets(balance, now, when)))
    return join(" ", (meter(_used(balance)), _("{name}: {state}", name=name, state=state) if name else state))


def money(parts: int, currency: str, *, alone: bool = False) -> str:
    """Format an amount of money with two digits, or with as many as it has: "12.40 EUR"."""
    cents, rest = divmod(parts, PARTS // 100)
    told = f"{parts / PARTS:,.4f}" if rest else f"{cents / 100:,.2f}"
    return told if alone else f"{told} {currency}"


def spent_line(spent: Spent, now: datetime) -> str:
    """Format what was spent this month: "12.40 of 50.00 EUR used this month"."""
    used = money(spent.parts, spent.currency, alone=spent.cap is not None)
    if spent.cap is None:
        return _("{used} used this month, without a limit", used=used)
    told = _("{used} of {cap} used this month", used=used, cap=money(spent.cap, spent.currency))
    share = spent.parts / spent.cap if spent.cap else 1.0
    resets = _("renewed at {when}", when=when(spent.resets, now))
    return join(" ", (meter(share), join(", ", (told, resets))))


def meter(done: float) -> str:
    """Draw `done`, a share from 0 to 1, as a text bar of ten characters."""
    full = min(10, max(0, round(done * 10)))
    return "▰" * full + "▱" * (10 - full)


def link_code(code: str) -> Card:
    lines = (
        code,
        _(
            "Type /link with this code on the other platform within ten minutes. Both then "
            "share one account: its quota, its history and its place in the queue."
        ),
    )
    return Card(kind="text", title=_("Your code"), body=lines, private=True)


def linked(members: Sequence[str]) -> Card:
    names = listing(members)
    body = (
        _(
            "{names} share one account now: its quota, its history and its place in the queue.",
            names=names,
        ),
    )
    return Card(kind="text", title=_("Linked"), body=body, private=True)


def unlinked() -> Card:
    body = (
        _(
            "You have an account of your own again. What the shared one has used counts in "
            "both; its gifts and your waiting jobs stay with it."
        ),
    )
    return Card(kind="text", title=_("No longer linked"), body=body, private=True)


TEAM_SPAN = timedelta(days=7)
TEAM = 10  # people named


def team(uses: Sequence[Use]) -> Card:
    """Build the card of what each person of a place used lately, the largest use first."""
    sums: dict[str, tuple[str, int, float]] = {}
    for use in uses:
        jobs, seconds = sums.get(use.key, ("", 0, 0.0))[1:]
        sums[use.key] = (use.name, jobs + use.jobs, seconds + use.seconds)
    total = span(sum(seconds for *others, seconds in sums.values()))
    asked = _jobs(sum(each[1] for each in sums.values()))
    facts = (_("{jobs}, {total} of GPU time", jobs=asked, total=total),) if sums else ()
    sums.pop("", None)
    most = sorted(sums.values(), key=lambda each: -each[2])
    lines = [
        join(", ", (join(": ", (name, _jobs(jobs))), span(seconds))) for name, jobs, seconds in most[:TEAM]
    ]
    more = max(0, len(most) - TEAM) + max((use.others for use in uses), default=0)
    lines += [_more(more)] if more else []
    body = tuple(lines) or (_("No one has asked for images."),)
    return Card(
        kind="text",
        title=_("The team in the last {days} days", days=TEAM_SPAN.days),
        facts=facts,
        body=body,
        private=True,
    )


def styles(known: Iterable[Look]) -> Card:
    lines = tuple(join(": ", (style.name, style.help)) for style in known)
    use = _('Use one with --style, as in --style "oil painting", or say "as pixel art" at the end.')
    return Card(kind="text", title=_("Styles"), body=(*lines, use), private=True)


def settings(preferences: Preferences, logins: Sequence[Login] = ()) -> Card:
    """Build the card of a person's defaults and of their logins to the web studio."""
    lines = [
        *defaults(preferences),
        _("Prompt in the files: {answer}", answer=YES if preferences.tells_prompt else NO),
        _("Download gives {format}", format=format_label(preferences.format or "png")),
        _("Finished images mention you: {answer}", answer=NO if preferences.silent else YES),
        _("Change them with /settings; its option reset goes back to the studio's own."),
    ]
    if logins:
        lines += [
            _(
                "Logged in to the web studio: {browser}, since {day}",
                browser=each.browser,
                day=_day(each.made),
            )
            for each in logins
        ]
        lines.append(
            _("Log them all out with the option logout of /settings, or one in the studio's settings.")
        )
    return Card(kind="text", title=_("Your settings"), body=tuple(lines), private=True)


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


def studio_link(url: str, *, here_only: bool) -> Card:
    """Build the card with a login link to the web studio, for the person who asked alone."""
    lines = [
        _("This link logs one browser in as you, once, within ten minutes. Keep it to yourself."),
        _("/settings shows where you are logged in."),
    ]
    return Card(
        kind="text", title=_("The web studio"), link=url, body=(*lines, *_reach(here_only)), private=True
    )


def invitation(name: str, url: str, *, here_only: bool) -> Card:
    """Build the card with a login link to the web studio, to hand to the person `name`."""
    lines = (
        _(
            "This link logs one browser in as {name}, once, within seven days. Give it to them alone.",
            name=name,
        ),
    )
    return Card(
        kind="text",
        title=_("Invitation for {name}", name=name),
        link=url,
        body=(*lines, *_reach(here_only)),
        private=True,
    )


def _reach(here_only: bool) -> tuple[str, ...]:
    if not here_only:
        return ()
    return (
        _(
            "It opens on the machine that Easel runs on, and nowhere else. For other "
            "machines an operator sets WEB_URL."
        ),
    )


YES, NO = _("yes"), _("no")


def defaults(preferences: Preferences) -> tuple[str, ...]:
    own = _("the studio's own")
    return (
        _("Style: {label}", label=load_styles().label(preferences.style) or _("none")),
        _("Model: {model}", model=preferences.model or own),
        _("Images: {count}", count=preferences.count or own),
        _("Aspect ratio: {aspect}", aspect=preferences.aspect or preferences.size.replace("x", " × ") or own),
        _("Private: {answer}", answer=YES if preferences.private else NO),
    )


def help(command: Command | None = None, shown: Sequence[Command] = (), *, admin: bool = False) -> Card:
    """Build the help for one command, or for all in `shown`; `admin` points at the administrator's."""
    if command is None:
        lines = [join(": ", (f"/{each.name}", each.help)) for each in shown or commands.FOR_ALL]
        lines.append(_("/help imagine shows every flag."))
        lines += [_("/help admin shows what administrators can do.")] if admin else []
        return Card(kind="text", title=_("Easel paints what you describe"), body=tuple(lines), private=True)
    lines = [command.help, *map(_option_help, command.options)]
    lines += [
        _("Example: /{name} {example}", name=command.name, example=example) for example in command.examples
    ]
    return Card(kind="text", title=f"/{command.name}", body=tuple(lines), private=True)


def _option_help(option: Option) -> str:
    names = ", ".join(f"--{flag}" for flag in option.flags) or option.name
    parts = [join(": ", (names, option.help))]
    if option.kind in ("integer", "number") and option.maximum is not None:
        parts.append(
            _(
                "{low} to {high}.",
                low=f"{option.minimum or 0:.0f}",
                high=f"{option.maximum:.0f}",
            )
        )
    if option.choices:
        parts.append(_("{choices}.", choices=either(option.choices)))
    if option.default:
        parts.append(_("Left out: {default}.", default=option.default))
    return join(" ", parts)


# --- moderation and privacy -------------------------------------------------------------------------------


def reported(new: bool) -> Card:
    line = _("Thank you. The administrators will look at it.") if new else _("You reported this already.")
    return Card(kind="text", body=(line,), private=True)


def review(job: Job, waiting: Review, count: int) -> Card:
    """Build the card of a reported job for an administrator, with buttons to keep or remove it."""
    return Card(
        kind="text",
        title=job.prompt,
        facts=(ngettext("{count} job to decide", "{count} jobs to decide", count), _reporters(waiting)),
        body=(_("Requested by {name}", name=job.origin.member.name), _("Job: {id}", id=job.id)),
        pictures=pictures_of(job),
        rows=((button("keep", job.id), button("remove", job.id)),),
        private=True,
    )


def reports(found: Sequence[tuple[Job, Review]]) -> Card:
    """Build the list of reported jobs, each with a button that shows the job and its delete button."""
    if not found:
        return nothing_to_review()
    lines = [
        join(" · ", (f"{number}. {clip(job.prompt, 80)}", _reporters(review), job.id))
        for number, (job, review) in enumerate(found[:10], start=1)
    ]
    buttons = [
        button("show", job.id, label=str(number), name=_("Show {prompt}", prompt=clip(job.prompt)))
        for number, (job, review) in enumerate(found[:10], start=1)
    ]
    return Card(kind="text", title=_("Reports"), body=tuple(lines), rows=rows_of(buttons), private=True)


def _reporters(review: Review) -> str:
    return ngettext("reported by {count} person", "reported by {count} people", review.reports)


def nothing_to_review() -> Card:
    return Card(kind="text", title=_("Reports"), body=(_("No open reports."),), private=True)


def exported(name: str, content: bytes, jobs: int, part: int, parts: int) -> Card:
    lines = [_("{jobs}, with their images, your ledger and your defaults.", jobs=_jobs(jobs))]
    if part < parts:
        lines.append(
            _(
                "This is part {part} of {parts}. /privacy export part: {next} gives the next.",
                part=part,
                parts=parts,
                next=part + 1,
            )
        )
    return Card(kind="text", title=_("Your data"), body=tuple(lines), private=True, files=((name, content),))


def forget(token: str) -> Card:
    lines = (
        _(
            "This deletes all your images, prompts and defaults, here and under every name "
            "you linked, and stops your jobs. It cannot be undone."
        ),
        _("What you used of your quota is kept without your name until its period ends, and so is a block."),
    )
    return Card(
        kind="text", title=_("Delete my data"), body=lines, rows=((button("forget", token),),), private=True
    )


def forgotten(names: int) -> Card:
    line = ngettext(
        "Your data are deleted. Messages that showed your images are changed one by one.",
        "Your data are deleted under all {count} names. Messages that showed your images "
        "are changed one by one.",
        names,
    )
    return Card(kind="text", title=_("Deleted"), body=(line,), private=True)


MOST_LISTED = 8  # jobs that the question about a series names


def series(jobs: Sequence[tuple[str, int]], cost: float, key: str) -> Card:
    """Build the question whether to start jobs, each with what it paints and how many images it makes."""
    about = {"jobs": len(jobs), "images": sum(images for _prompt, images in jobs)}
    asked = (
        _(
            "Start {jobs} jobs with {images} images? They cost about {cost} GPU seconds together.",
            cost=amount(cost),
            **about,
        )
        if cost
        else _("Start {jobs} jobs with {images} images? They are relaxed (free).", **about)
    )
    lines = [f"{number}. {clip(text, 100)}" for number, (text, _images) in enumerate(jobs, start=1)]
    lines = lines[:MOST_LISTED]
    if len(jobs) > MOST_LISTED:
        lines.append(_("… and {count} more", count=len(jobs) - MOST_LISTED))
    label = _("Start {jobs} jobs", jobs=len(jobs))
    start = button("start", key, label=label, name=label)
    return Card(kind="text", body=(asked, *lines), rows=((start, button("dismiss", key)),))


def started_already(count: int) -> Card:
    line = _("These {count} jobs were started already.", count=count)
    return Card(kind="text", body=(line,), private=True)


def none_started() -> Card:
    return Card(kind="text", body=(_("Nothing was started."),), private=True)


# --- keys of the API ----------------------------------------------------------------------------------------


def api_key(secret: str, name: str, id: str, address: str) -> Card:
    """Build the only card that shows a key."""
    lines = (
        secret,
        _("Copy it now: it is not shown again. Whoever has it asks for images as you, with your quota."),
        _("Programs send it to {address} as OpenAI's clients do.", address=f"{address or 'http://…'}/v1"),
        _("/api revoke {id} takes it back.", id=id),
    )
    return Card(kind="text", title=_("Your API key “{name}”", name=name), body=lines, private=True)


def api_keys(keys: Sequence[ApiKey], now: datetime) -> Card:
    lines = [
        _(
            "{id} “{name}” ({scope}), last used {when}",
            id=key.id,
            name=key.name,
            scope=key.scope,
            when=when(key.used, now),
        )
        if key.used
        else _("{id} “{name}” ({scope}), never used", id=key.id, name=key.name, scope=key.scope)
        for key in keys
    ]
    body = tuple(lines) or (_("You have none. /api create makes one."),)
    return Card(kind="text", title=_("Your API keys"), body=body, private=True)


def api_revoked(ids: Sequence[str]) -> Card:
    line = ngettext(
        "The key {ids} is revoked: nothing is done with it any more.",
        "The keys {ids} are revoked: nothing is done with them any more.",
        len(ids),
        ids=listing(ids),
    )
    return Card(kind="text", body=(line,), private=True)
