"""Contests in a channel: entries, then a vote, then a result. They are collected and voted on blind.

A contest's messages follow from its rows: whatever changes them is counted, and `tick` brings the messages to
what they should be, also after a crash or an outage, and goes on to the next phase when its time has come.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from bot import actions
from bot.actions import Action
from bot.adapters.base import ChatAdapter, Displays, MessageRef
from bot.admin import csv_export
from bot.admin.asked import AdminRequest, Commands, done
from bot.admin.log_channel import LogChannel
from bot.contests.running import OpenContests
from bot.errors import MessageGone, Refusal, StoreError, TryLater, Unreachable
from bot.i18n import _
from bot.i18n.speech import Speech
from bot.jobs.covers import Covers
from bot.jobs.visibility import Visibility
from bot.messages import contests as cards
from bot.messages.types import Card
from bot.models import Contest, ContestEntry, ContestPhase, Job, Member, Origin, State, new_id
from bot.moderation.reviews import Reviews
from bot.options import clip
from bot.store import Store

log = structlog.stdlib.get_logger(__name__)

TICK = 5.0  # seconds between two looks at what is due
RETRY = timedelta(seconds=30)  # after which a message that could not be sent is tried again
OWED = timedelta(days=7)  # after which a contest that cannot be shown is given up
DAYS, VOTING_DAYS = 7, 3
MOST_DAYS = 90
GONE: MessageRef = {"gone": True}  # in place of the reference to a message that somebody deleted

_NONE_RUNS = _("No contest runs here. An administrator starts one with /contest start.")
_BLIND = _("The contest is blind until its end: /contest end closes it.")
_WITHDRAWN = _("That entry was withdrawn. Look at another one.")
_CLOSED = {
    "closed": _("Entries are not taken any more."),
    "again": _("That image is entered already."),
    "most": _("You have as many entries as one person may have. Deleting an image withdraws it."),
    "full": _("This contest has as many entries as it can take."),
}
_NO_VOTE = {
    "closed": _("Voting is not open."),
    "gone": _WITHDRAWN,
    "own": _("That is your own entry. Vote for another one."),
}


@dataclass(eq=False)
class Contests:
    """Methods raise Refusal and StoreError."""

    _store: Store
    _visibility: Visibility
    _reviews: Reviews
    _speech: Speech
    _adapters: Mapping[str, ChatAdapter]
    _log: LogChannel
    _open: OpenContests
    _covers: Covers
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict, init=False)
    _later: dict[str, datetime] = field(default_factory=dict, init=False)  # when to try again

    @property
    def commands(self) -> Commands:
        """Return what answers administrators' commands."""
        return {
            "contest start": self._start,
            "contest end": self._end,
            "contest export": self._export,
        }

    # ---- administrators

    async def _start(self, asked: AdminRequest) -> Card:
        origin, now = asked.origin, self._store.now()
        adapter = self._adapters.get(origin.surface)
        if not isinstance(adapter, Displays) or origin.direct or not origin.channel:
            notice = _("A contest runs in a channel of Discord or Slack. Start it there.")
            raise Refusal(notice, code="place")
        contest = Contest(
            id=new_id(),
            surface=origin.surface,
            tenant=asked.tenant,
            channel=origin.channel,
            theme=clip(asked.options["theme"], 200),
            by=origin.member.id,
            each=asked.options.get("entries", 1),
            started=now,
            closes=_closing(asked.options, now),
            voting_days=asked.options.get("voting", VOTING_DAYS),
        )
        if not await self._store.start_contest(contest, asked.line(contest.id, after=contest.theme)):
            notice = _("A contest runs here already. /contest end goes on to its vote, then to its result.")
            raise Refusal(notice, code="twice")
        await self._changed(contest.id)
        if (await self._known(contest.id)).phase == "ended":
            notice = _("Easel cannot post in this channel, so the contest was not started.")
            raise Refusal(notice, code="place")
        return done(_("The contest has begun. /contest end closes its entries before their time."))

    async def _end(self, asked: AdminRequest) -> Card:
        """Go on to the next phase at once."""
        contest = await self._running(asked.origin.member)
        after = await self._next(contest)
        line = asked.line(contest.id, contest.phase, after)
        await self._store.advance_contest(contest.id, contest.phase, after, line)
        await self._changed(contest.id)
        if after == "voting":
            return done(_("Entries are closed, and the vote is open. /contest end closes it."))
        return done(_("The contest has ended. /contest export gives its entries as a file."))

    async def _export(self, asked: AdminRequest) -> Card:
        """Hand over the entries of the newest contest that has ended."""
        found = await self._store.contests(asked.tenant, running=False)
        contest = next((each for each in found if each.phase == "ended"), None)
        if contest is None:
            raise Refusal(_BLIND if found else _NONE_RUNS, code="ended")
        rows = _table([entry for entry, _job in await self._shown(contest)])
        kind = asked.options.get("format", "csv")
        if kind == "json":
            about = {"theme": contest.theme, "started": contest.started.isoformat(), "entries": rows}
            content = json.dumps(about, ensure_ascii=False, indent=1)
        else:
            content = csv_export.table([_COLUMNS, *([row[name] for name in _COLUMNS] for row in rows)])
        await self._store.note(asked.line(contest.id))
        name = f"contest-{contest.id}.{kind}"
        return Card(kind="text", title=contest.theme, files=((name, content.encode()),), private=True)

    # ---- everybody

    async def show(self, options: dict[str, Any], origin: Origin) -> Card:
        """Answer `/contest show`."""
        contest = await self._running(origin.member)
        self._check_guest(contest, origin)
        names = await self._store.sharing(origin.member.id)
        mine = [each for each in await self._store.entries(contest.id) if each.member in names]
        vote = await self._store.voted(contest.id, origin.member.id)
        return cards.told(contest, len(mine), vote, self._store.now())

    async def enter_command(self, options: dict[str, Any], origin: Origin) -> Card:
        """Answer `/contest enter`."""
        job = await self._visibility.job(options["job"], origin.member, origin.here)
        index = options["picture"] - 1 if "picture" in options else None
        return await self.enter(Action(name="enter", job=job.id, index=index), job, origin)

    async def enter(self, action: Action, job: Job, origin: Origin) -> Card:
        """Enter a picture of one's own; ask which where there are several."""
        await self._visibility.check_whose(action, job, origin.member)
        contest = await self._running(origin.member)
        self._check_enterable(job, contest)
        if action.index is None and len(job.singles) > 1:
            return cards.which(job)
        chosen = actions.picture(job, action.index or 0)
        owner = job.origin.member
        why = await self._store.enter(contest.id, job.id, chosen.index, owner.id, owner.name)
        if why:
            raise Refusal(_CLOSED[why], code=why)
        return cards.entered(contest, self._store.now())

    async def look(self, action: Action, origin: Origin) -> Card:
        """Return one entry of a vote, large, with the button that votes for it."""
        contest, entry, job = await self._entry(action, origin)
        return replace(cards.entry_card(contest, entry, job), spoiler=self._covered(contest, job))

    async def vote(self, action: Action, origin: Origin) -> Card:
        """Vote for an entry, in place of any other."""
        contest, entry, _job = await self._entry(action, origin)
        why = await self._store.vote(contest.id, entry.number, origin.member.id)
        if why:
            raise Refusal(_NO_VOTE[why], code=why)
        return cards.voted(contest, entry.number, self._store.now())

    async def report(self, action: Action, origin: Origin) -> Card:
        """Report an entry to the administrators, as any other image."""
        _contest, _entry, job = await self._entry(action, origin)
        return await self._reviews.report(job, origin)

    async def _entry(self, action: Action, origin: Origin) -> tuple[Contest, ContestEntry, Job]:
        id, _between, number = action.job.partition("_")
        contest = await self._store.contest(id)
        if contest is None or contest.tenant != origin.member.tenant:
            raise Refusal(_("That contest is in another place. Vote where it runs."), code="unknown")
        self._check_guest(contest, origin)
        if contest.phase != "voting":
            raise Refusal(_NO_VOTE["closed"], code="closed")
        for entry, job in await self._shown(contest):
            if str(entry.number) == number:
                return contest, entry, job
        raise Refusal(_WITHDRAWN, code="gone")

    def _check_guest(self, contest: Contest, origin: Origin) -> None:
        if origin.member.guest and contest.channel not in origin.here:
            raise Refusal(_("That contest is in a channel where you are not."), code="forbidden")

    def _check_enterable(self, job: Job, contest: Contest) -> None:
        if contest.phase != "entries":
            raise Refusal(_CLOSED["closed"], code="closed")
        if job.state is not State.RENDERED:
            raise Refusal(_("Only finished images can be entered."), code="no_picture")
        if any(each.adult for each in job.singles):
            raise Refusal(_("Images for age-restricted channels cannot be entered."), code="adult")
        if job.origin.member.tenant != contest.tenant or not job.is_open((contest.channel,)):
            notice = _("Only images that everyone in the contest's channel may see can be entered.")
            raise Refusal(notice, code="private")

    async def _running(self, member: Member) -> Contest:
        found = await self._store.contests(member.tenant)
        if not found:
            raise Refusal(_NONE_RUNS, code="none")
        return found[0]

    async def _known(self, id: str) -> Contest:
        contest = await self._store.contest(id)
        assert contest
        return contest

    # ---- in the background

    async def run(self) -> None:
        """Do what is due, again and again."""
        while True:
            try:
                await self.tick()
            except StoreError as error:
                log.warning("contests wait for the database", cause=str(error))
            except Exception:
                log.exception("contests could not go on")
            await asyncio.sleep(TICK)

    async def load(self) -> None:
        """Load from the store where entries are taken."""
        self._open.set(await self._store.contests())

    async def tick(self) -> None:
        """Bring every contest to where it should be by now; none waits for another one's platform."""
        now = self._store.now()
        due = [each for each in await self._store.contests_due(now) if self._later.get(each.id, now) <= now]
        for contest in due:
            if contest.phase != "ended" and contest.closes <= now:
                await self._store.advance_contest(contest.id, contest.phase, await self._next(contest))
        await asyncio.gather(*(self._changed(each.id) for each in due))

    async def lost(self, tenant: str, channel: str = "") -> None:
        """End the contests of a channel, or of a whole place, that Easel cannot post in any more."""
        for contest in await self._store.contests(tenant):
            if channel in ("", contest.channel):
                await self._abandon(contest, _("its channel is gone."))

    async def _next(self, contest: Contest) -> ContestPhase:
        """Return what follows: the vote; where nobody has entered, or after it, the end."""
        voting = contest.phase == "entries" and await self._store.entries(contest.id)
        return "voting" if voting else "ended"

    async def _abandon(self, contest: Contest, reason: str) -> None:
        if await self._store.abandon_contest(contest.id):
            log.warning("contest ended: it cannot be shown", contest=contest.id, cause=reason)
            line = _("The contest “{theme}” has ended early: {reason}", theme=contest.theme, reason=reason)
            self._log.tell(contest.tenant, line)
        await self.load()

    async def _changed(self, id: str) -> None:
        """Bring a contest's messages to what they should be, one call at a time."""
        await self.load()
        async with self._locks.setdefault(id, asyncio.Lock()):
            contest = await self._known(id)
            try:
                if contest.changes != contest.shown:
                    await self._show(contest)
            except TryLater as error:
                log.info("a contest is shown later", contest=id, cause=str(error))
                self._later[id] = self._store.now() + RETRY
                if self._store.now() > contest.closes + OWED:
                    await self._abandon(contest, _("it cannot be shown."))
            except Unreachable as error:
                await self._abandon(contest, error.args[0])

    async def _show(self, contest: Contest) -> None:
        """Post what is missing, and change what is there; each reference is written down at once."""
        adapter = self._adapters.get(contest.surface)
        if not isinstance(adapter, Displays):
            raise TryLater(contest.surface)  # which is not set up now
        messages = dict(contest.messages)
        for name, card in (await self._wanted(contest)).items():
            ref = messages.get(name)
            if ref == GONE:
                continue
            said = self._speech.said_in(card, contest.tenant)
            key = f"{contest.id}-{name.replace(' ', '')}"
            try:
                shown = await adapter.display(contest.tenant, contest.channel, said, ref, key)
            except MessageGone:
                shown = GONE
            messages[name] = shown
            await self._store.contest_messages(contest.id, messages)
        await self._store.contest_messages(contest.id, messages, shown=contest.changes)

    async def _wanted(self, contest: Contest) -> dict[str, Card]:
        """Return the messages that the contest should have now."""
        now = self._store.now()
        if contest.phase == "entries":
            return {"start": cards.started(contest, now)}
        shown = await self._shown(contest)
        known = [name for name in contest.messages if name.startswith("page")]
        highest = max([each.number for each, _job in shown] + [len(known) * cards.PAGE], default=0)
        made = cards.pages(contest, shown, highest, now) if highest else {}
        if contest.phase == "ended":
            made["result"] = cards.result(contest, shown)
        spoiler = any(self._covered(contest, job) for _entry, job in shown)
        return {name: replace(card, spoiler=spoiler) for name, card in made.items()}

    def _covered(self, contest: Contest, job: Job) -> bool:
        """Tell whether an entry is covered where it was asked for, or in the contest's channel."""
        there = replace(job, origin=replace(job.origin, channel=contest.channel))
        return self._covers.covered(job) or self._covers.covered(there)

    async def _shown(self, contest: Contest) -> list[tuple[ContestEntry, Job]]:
        """Return the entries that everyone in the contest's channel may still see, by their numbers."""
        found = []
        for entry in await self._store.entries(contest.id):
            job = await self._store.job(entry.job)
            if (
                job
                and job.state is State.RENDERED
                and job.is_open((contest.channel,))
                and any(each.index == entry.index for each in job.singles)
            ):
                found.append((entry, job))
        return found


_COLUMNS = ("place", "tied", "number", "votes", "name", "member", "job", "picture", "entered")


def _table(entries: Sequence[ContestEntry]) -> list[dict[str, Any]]:
    return [
        {
            "place": place,
            "tied": "yes" if tied else "no",
            "number": entry.number,
            "votes": entry.votes,
            "name": entry.name,
            "member": entry.member,
            "job": entry.job,
            "picture": entry.index + 1,
            "entered": entry.at.isoformat(),
        }
        for place, tied, entry in cards.places(entries)
    ]


def _closing(options: Mapping[str, Any], now: datetime) -> datetime:
    """Return until when entries are taken. Raises Refusal."""
    if "until" not in options:
        return now + timedelta(days=options.get("days", DAYS))
    try:
        found = datetime.fromisoformat(options["until"].strip())
    except ValueError as error:
        notice = _("Say until when as 2027-01-31 or 2027-01-31 18:00, in UTC, or use days.")
        raise Refusal(notice, code="until") from error
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    if not now < found <= now + timedelta(days=MOST_DAYS):
        notice = _("Entries can be taken until a time within the next {days} days.", days=MOST_DAYS)
        raise Refusal(notice, code="until")
    return found
