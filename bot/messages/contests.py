"""The messages of contests. Nobody is named, and nothing counted, before the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby

from bot.i18n import _, join, ngettext
from bot.messages import marks
from bot.messages.answers import moment
from bot.messages.job_cards import button, rows_of
from bot.messages.types import Button, Card, CardPicture
from bot.models import Contest, ContestEntry, Job

PAGE = 8  # entries of one message: each has its line, its picture and its button
Shown = tuple[ContestEntry, Job]


def key(contest: str, number: int) -> str:
    """Return what stands in the id of an entry's button."""
    return f"{contest}_{number}"


def started(contest: Contest, now: datetime) -> Card:
    """Build the message that calls for entries."""
    lines = (
        _("Enter one of your results: “Enter contest” in its ⋯ menu, or /contest enter with its job."),
        ngettext(
            "Each person may have {count} entry, which stays secret until the vote.",
            "Each person may have {count} entries, which stay secret until the vote.",
            contest.each,
        ),
        _("Entries are taken until {when}; then everyone here votes.", when=until(contest, now)),
    )
    return Card(kind="text", title=_titled(contest), body=lines)


def until(contest: Contest, now: datetime) -> str:
    """Return when the contest's phase ends, for the reader's zone."""
    return marks.time(contest.closes, moment(contest.closes, now))


def _titled(contest: Contest) -> str:
    return _("Contest: {theme}", theme=contest.theme)


def pages(contest: Contest, shown: Sequence[Shown], highest: int, now: datetime) -> dict[str, Card]:
    """Build the messages that are voted in, PAGE numbers each; after the end they have no buttons."""
    count = max(1, -(-highest // PAGE))
    made = {}
    for page in range(count):
        here = [each for each in shown if page * PAGE < each[0].number <= (page + 1) * PAGE]
        made[f"page {page + 1}"] = _page(contest, here, f"{page + 1}/{count}" if count > 1 else "", now)
    return made


def _page(contest: Contest, shown: Sequence[Shown], which: str, now: datetime) -> Card:
    lines = tuple(_("Entry {number}", number=entry.number) for entry, _job in shown)
    closed = contest.phase == "ended"
    told = (
        _("Voting has ended.")
        if closed
        else _("Press a number to look at an entry and vote for it, until {when}.", when=until(contest, now))
    )
    buttons = [] if closed else [_number(contest, entry) for entry, _job in shown]
    return Card(
        kind="text",
        title=_titled(contest),
        facts=(which,) if which else (),
        body=(*lines, told),
        pictures=tuple(picture(entry, job) for entry, job in shown),
        listed=True,
        rows=rows_of(buttons),
    )


def _number(contest: Contest, entry: ContestEntry) -> Button:
    name = _("Look at entry {number}", number=entry.number)
    return button("contest_entry", key(contest.id, entry.number), label=str(entry.number), name=name)


def picture(entry: ContestEntry, job: Job) -> CardPicture:
    """Return an entry's picture, whose file and words name nobody."""
    stored = next(each for each in job.singles if each.index == entry.index)
    alt = _("Entry {number}", number=entry.number)
    return CardPicture(alt=alt, width=stored.width, height=stored.height, blob=stored.blob)


def entry_card(contest: Contest, entry: ContestEntry, job: Job) -> Card:
    """Build the card of one entry, large, for the person who looks at it."""
    id = key(contest.id, entry.number)
    return Card(
        kind="text",
        title=_("Entry {number}", number=entry.number),
        pictures=(picture(entry, job),),
        rows=((button("vote", id), button("report_entry", id)),),
        private=True,
    )


def voted(contest: Contest, number: int, now: datetime) -> Card:
    when = until(contest, now)
    line = _("You vote for entry {number}. You can change that until {when}.", number=number, when=when)
    return Card(kind="text", body=(line,), private=True)


def which(job: Job) -> Card:
    """Build the question which of a job's images to enter."""
    buttons = [button("enter_image", job.id, index=each.index) for each in job.singles]
    line = _("Which of these images do you enter?")
    return Card(kind="text", body=(line,), rows=rows_of(buttons), private=True)


def entered(contest: Contest, now: datetime) -> Card:
    lines = (
        _(
            "Entered in “{theme}”. Who made what is told after the vote, which begins at {when}.",
            theme=contest.theme,
            when=until(contest, now),
        ),
        _("Deleting the image withdraws it."),
    )
    return Card(kind="text", body=lines, private=True)


def told(contest: Contest, mine: int, vote: int, now: datetime) -> Card:
    """Build the answer to `/contest show`: where the contest stands, and what of it is the person's."""
    where = marks.channel(contest.channel)
    own = ngettext("You have {count} entry.", "You have {count} entries.", mine)
    if contest.phase == "entries":
        lines = [_("Entries are taken until {when}, in {channel}.", when=until(contest, now), channel=where)]
        how = _("“Enter contest” in the ⋯ menu of one of your results adds one; so does /contest enter.")
        lines += [own, how]
    else:
        lines = [_("Voting ends at {when}, in {channel}.", when=until(contest, now), channel=where), own]
        yours = _("You vote for entry {number}.", number=vote) if vote else _("You have not voted.")
        lines.append(yours)
    return Card(kind="text", title=_titled(contest), body=tuple(lines), private=True)


def result(contest: Contest, shown: Sequence[Shown]) -> Card:
    """Build the message of the end: places, names and images, ties said."""
    if not shown:
        line = _("The contest has ended without an entry.")
        return Card(kind="text", title=_titled(contest), body=(line,))
    ranked = list(places([entry for entry, _job in shown]))
    jobs = {entry: job for entry, job in shown}
    first = ranked[:PAGE]
    votes = sum(entry.votes for entry, _job in shown)
    facts = (
        ngettext("{count} entry", "{count} entries", len(shown)),
        _votes(votes),
    )
    lines = [_line(place, entry, tied=tied) for place, tied, entry in first]
    more = len(ranked) - len(first)
    lines += [_("and {count} more; /contest export has all of them", count=more)] if more else []
    return Card(
        kind="text",
        title=_titled(contest),
        facts=facts,
        body=tuple(lines),
        pictures=tuple(picture(entry, jobs[entry]) for _place, _tied, entry in first),
        listed=True,
    )


def places(entries: Sequence[ContestEntry]) -> Iterator[tuple[int, bool, ContestEntry]]:
    """Yield place, whether others share it, and the entry; as many votes are the same place."""
    place = 1
    ordered = sorted(entries, key=lambda each: (-each.votes, each.number))
    for _count, group in groupby(ordered, key=lambda each: each.votes):
        same = list(group)
        for entry in same:
            yield place, len(same) > 1, entry
        place += len(same)


def _line(place: int, entry: ContestEntry, *, tied: bool) -> str:
    words = _("{place}. {name} (entry {number})", place=place, name=entry.name, number=entry.number)
    return join(", ", (words, _votes(entry.votes), *((_("a tie"),) if tied else ())))


def _votes(number: int) -> str:
    return ngettext("{count} vote", "{count} votes", number)
