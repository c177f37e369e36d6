"""The nouns that the workflow, the store and the adapters share: plain frozen dataclasses."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Self

from bot.i18n import _
from engine.types import GenerationRequest


def new_id() -> str:
    """Create a job id: 12 random hexadecimal digits, hard to guess and short enough for a button."""
    return secrets.token_hex(6)


EVERYWHERE = "*"
"""Every channel of a place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A person on one surface."""

    tenant: str  # "discord:<guild>", "slack:<team>", "web:local"; a DM is a tenant of its own
    id: str  # "discord:<user>", …: unique over all surfaces
    name: str  # to show
    admin: bool = False
    roles: tuple[str, ...] = ()  # the platform's ids of roles or user groups
    guest: bool = False  # of the place: sees what was asked where they are, and their own
    moderates: tuple[str, ...] = ()  # channels whose messages the platform lets them delete

    def __post_init__(self) -> None:
        """Refuse a tenant or an id with an empty part ("slack:"): all who lack it would share everything.

        Raises ValueError.
        """
        if not all((*self.tenant.split(":"), *self.id.split(":"))):
            raise ValueError(f"a member of no place: tenant {self.tenant!r}, id {self.id!r}")


GUEST = "web:@guest-"  # begins the id of a member who came in by the web studio's password alone
GUESTS = "web:@guests"  # the account of all of them


def own_account(member: str) -> str:
    """Return the account that a member uses while they are linked to nobody.

    Whoever knows the web studio's password can be a new guest as often as they like, so guests share one.
    """
    return GUESTS if member.startswith(GUEST) else member


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A browser that is logged in to the web studio."""

    id: str  # the digest of its cookie
    member: Member
    browser: str  # "Firefox on Linux"
    made: datetime
    used: datetime


API_SCOPES = ("images", "relaxed", "models")
"""What a key may do: ask for images; ask for relaxed ones, which are free; only see the models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key with which somebody's programs ask; the secret itself is not kept."""

    id: str
    member: Member
    name: str
    scope: str  # one of `API_SCOPES`
    made: datetime
    used: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who asked, where, and how to answer there."""

    surface: str  # the adapter's name
    member: Member
    channel: str
    event: str  # the platform's id of this event: the idempotency key
    reply: dict[str, Any] = field(default_factory=dict)  # owned by the adapter (tokens, threads); JSON
    private: bool = False
    adult: bool = False  # the channel was age-restricted when this was asked
    language: str = ""  # the person's own, as the surface reports it: one of `i18n.LANGUAGES`, or unknown
    seen_in: tuple[str, ...] = ()  # closed places, whose people alone may see it; empty: all of the tenant
    direct: bool = False  # asked in direct messages

    @property
    def here(self) -> tuple[str, ...]:
        """The places where the person is."""
        return (self.channel, *self.seen_in)


class State(StrEnum):
    """A job's life. The first two run again after a restart; the others are ends."""

    QUEUED = "queued"
    RUNNING = "running"
    RENDERED = "rendered"  # pictures stored, hold settled
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELETED = "deleted"

    @property
    def ended(self) -> bool:
        return self not in UNFINISHED


UNFINISHED = (State.QUEUED, State.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPicture:
    """A picture at rest."""

    index: int
    blob: str
    seed: int
    width: int
    height: int
    adult: bool = False  # for age-restricted channels alone
    fingerprint: str = ""  # how it looks, to find it by a copy
    joined: bool = False  # painted in forward passes with other pictures
    plain: str = ""  # the blob without the words that were set on it, if any were
    alt: str = ""  # for who cannot see it, as its owner wrote it; empty: the suggested text

    @property
    def unlettered(self) -> str:
        """Return the blob to go on from: words are set anew on what is made of it."""
        return self.plain or self.blob


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which picture of a finished job is kept, and the job's note then."""

    index: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """What anybody may know of a job whose picture they have."""

    job: str  # id
    model: str
    made: datetime


SERIES = "series"
"""Begins the event of a job that is one of several, which one press has started."""


@dataclass(frozen=True, slots=True)
class JobSeries:
    """Of several jobs that were asked for together: which they are, and which one of them this is.

    It is read from the event, by which each of them can be admitted only once.
    """

    id: str
    number: int  # from 1
    count: int

    @property
    def event(self) -> str:
        return f"{SERIES}:{self.id}:{self.number}:{self.count}"

    @classmethod
    def of(cls, event: str) -> Self | None:
        """Return the series that an event names, or None."""
        found = re.fullmatch(rf"{SERIES}:(\w+):(\d+):(\d+)", event, re.ASCII)
        return cls(found[1], int(found[2]), int(found[3])) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One accepted request, as its row tells it. The row is the truth; the queue is a view of it."""

    id: str
    origin: Origin
    request: GenerationRequest
    prompt: str  # as typed, to show
    style: str = ""  # the preset's name
    state: State = State.QUEUED
    parent: str | None = None  # the job whose button made this one
    parent_index: int | None = None
    action: str = "imagine"  # what made it: imagine, upscale, vary_subtle, …
    estimate: float = 0.0  # device-seconds held
    device_seconds: float = 0.0  # device-seconds charged
    deaths: int = 0
    reason: str = ""  # why it failed: one sentence, safe to show
    created: datetime
    started: datetime | None = None
    finished: datetime | None = None
    delivered: datetime | None = None  # when its end was shown; None while that is owed
    message: dict[str, Any] | None = None  # the adapter's reference to its message; JSON
    pictures: tuple[StoredPicture, ...] = ()
    relaxed: bool = False  # free, and painted only while no other job wants the device
    account: str = ""  # who pays; set at admission
    note: str = ""  # what is not as it was asked for, to show: sentences
    hidden: bool = False  # its message was deleted on the platform: only its owner may see it

    @property
    def series(self) -> JobSeries | None:
        """Return the series that it belongs to, or None."""
        return JobSeries.of(self.origin.event)

    @property
    def singles(self) -> tuple[StoredPicture, ...]:
        """Return its pictures in order, without the grid of them."""
        return tuple(sorted((each for each in self.pictures if each.index >= 0), key=lambda each: each.index))

    @property
    def seconds(self) -> float:
        """Wall-clock seconds from accepted to ended; 0 while it lives, or when the clock was set back."""
        return max(0.0, (self.finished - self.created).total_seconds()) if self.finished else 0.0

    def is_open(self, here: Collection[str] = ()) -> bool:
        """Tell whether everybody of its tenant who is in the places `here` may see it."""
        if self.hidden or self.origin.private:
            return False
        closed = self.origin.seen_in
        return not closed or not set(closed).isdisjoint(here)

    def is_seen_by(self, member: Member, here: Collection[str] = ()) -> bool:
        """Tell whether a member who is in the places `here` may see it; of linked names it knows nothing."""
        owner = self.origin.member
        if owner.tenant != member.tenant:
            return False
        if owner.id == member.id:
            return True
        return self.is_open(here) and (not member.guest or self.origin.channel in here)


Period = Literal["hour", "day", "week", "month"]
Priority = Literal["fast", "relax"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """Device-seconds that may be used in each period.

    A rolling period begins with the first request and lasts an hour, a day, 7 or 30 days; the next request
    after its end begins another. The others are the hours, days, ISO weeks and months of the zone's calendar.
    """

    seconds: float
    per: Period
    rolling: bool = False
    zone: str = "UTC"  # a name of the IANA database; for calendar periods only


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """What one kind of person may do. No allowances: as much as they like."""

    name: str
    title: str = ""
    weight: float = 1.0  # of a turn in the fair queue
    allowances: tuple[Allowance, ...] = ()
    running: int = 2  # jobs that may paint at a time
    waiting: int = 100  # unfinished jobs, those that paint included
    max_pixels: int = 2048 * 2048  # width × height of one picture
    max_steps: int = 150
    max_count: int = 16
    models: tuple[str, ...] = ()  # empty: all
    loras: tuple[str, ...] = ()  # empty: all
    cooldown: float = 0.0  # seconds from an accepted request to the next that is typed
    priorities: tuple[Priority, ...] = ("fast", "relax")
    restricted: bool = False  # only those who run this Easel may give it to people
    label: bool = False  # pictures visibly say "AI"
    draft: bool = False  # whatever is asked for, drafts are painted


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """An allowance that many people share: a tenant's or a channel's."""

    account: str  # under which the ledger keeps it, as in "budget:discord:1"; never a member's id
    name: str  # to show
    allowance: Allowance


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What one job costs in money, of one budget by the calendar month. Parts: see `engine.prices`."""

    account: str  # under which the ledger keeps it, as in "money:discord:1"
    name: str  # to show
    currency: str
    parts: int
    cap: int | None  # parts in a month; None: it is counted, without a limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was spent in a calendar month, and what is held."""

    currency: str
    parts: int
    cap: int | None
    resets: datetime
    name: str = ""  # of the budget, to show


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What is used of an allowance in its present period, in device-seconds."""

    cap: float
    used: float  # charged and held
    resets: datetime | None  # None: gifts never do
    name: str = ""  # empty: the person's own allowance; "gift": their gifts; else the budget's name
    per: Period | None = None  # None: gifts have no period

    @property
    def left(self) -> float:
        return max(0.0, self.cap - self.used)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """A person's defaults; empty or None means the studio's own."""

    style: str = ""
    model: str = ""
    count: int | None = None
    aspect: str = ""
    size: str = ""  # "512x768"; instead of an aspect
    private: bool = False
    tells_prompt: bool = False  # the prompt goes into the files
    silent: bool = False  # results do not mention them
    format: str = ""  # of the files that Download gives


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerLine:
    """One line of the ledger, as it is exported."""

    id: int
    at: datetime
    kind: str  # hold, charge, release, gift, reset or merge
    account: str
    bucket: str  # which allowance and period
    seconds: float  # device-seconds
    job: str | None
    by: str  # the administrator or person behind it; empty: the job's own
    key: str  # unique
    money: float = 0.0  # units of the currency that the bucket names, where it counts money


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """How far estimates are from what jobs take: |measured − estimate| ÷ measured."""

    jobs: int
    median: float
    p90: float


# --- what administrators set ------------------------------------------------------------------------------

INSTANCE = "*"
"""The tenant of the people who run this Easel: its policy holds in every tenant, beside that one's own."""

Rule = Literal["allow", "refuse", "clear"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Names that may be used: those allowed, or all where none is, but never those refused."""

    allowed: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    def takes(self, name: str) -> bool:
        return name not in self.refused and (not self.allowed or name in self.allowed)

    def ruled(self, name: str, rule: Rule) -> Filter:
        """Return the filter with another rule for one name."""
        allowed = [each for each in self.allowed if each != name]
        refused = [each for each in self.refused if each != name]
        match rule:
            case "allow":
                allowed.append(name)
            case "refuse":
                refused.append(name)
        return Filter(allowed=tuple(allowed), refused=tuple(refused))


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What administrators have set for one tenant."""

    channels: Filter = Filter()
    models: Filter = Filter()
    loras: Filter = Filter()
    styles: Filter = Filter()
    defaults: Preferences = field(default_factory=Preferences)  # of people who have none of their own
    language: str = ""  # empty: the person's
    roles: Mapping[str, str] = field(default_factory=dict)  # role or user group → tier
    tier: str = ""  # of people without a role that has one; empty: "everyone"
    quotas: Mapping[str, Allowance] = field(default_factory=dict)  # role or "everyone" → for its tier's
    budget: Allowance | None = None  # of all people here together
    budget_by_operator: bool = False  # only the operator may change it
    channel_budgets: Mapping[str, Allowance] = field(default_factory=dict)
    money: Mapping[str, int] = field(default_factory=dict)  # currency → parts of a unit in a month
    money_by_operator: bool = False  # only the operator may change it
    words: Mapping[str, str] = field(default_factory=dict)  # channel → "buttons" or "off"; else words paint
    paused: bool = False  # nothing new is taken, nothing that waits is started
    drained: bool = False  # nothing new is taken
    strictness: str = "standard"  # of moderation
    refused_terms: tuple[str, ...] = ()
    allowed_terms: tuple[str, ...] = ()
    moderators: tuple[str, ...] = ()  # roles, user groups and members' ids
    label: bool = False  # pictures visibly say "AI"
    commercial: bool = False  # models whose licence forbids business are not used
    log: str = ""  # the channel in which administrators are told what happens
    spoiler_channels: tuple[str, ...] = ()  # whose pictures are covered until someone clicks
    spoiler_roles: tuple[str, ...] = ()  # of who asks
    setup: tuple[str, ...] = ()  # steps of /setup that were taken or skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What administrators and moderation have set for one member in one tenant."""

    tenant: str = ""
    member: str = ""
    tier: str = ""  # instead of what roles give
    allowance: Allowance | None = None  # instead of their tier's
    blocked: bool = False
    until: datetime | None = None  # when the block ends by itself; None: never
    reason: str = ""  # one sentence, shown to the person
    strikes: int = 0

    def is_blocked(self, now: datetime) -> bool:
        return self.blocked and (self.until is None or self.until > now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """All that is stored about a member and the place where they are."""

    at: datetime
    account: str  # who pays
    home: str = ""  # the tenant in whose lane all who share the account stand; empty: each where they ask
    everywhere: Policy = Policy()  # what holds beside the place's own
    place: Policy = Policy()
    persons: tuple[Person, ...] = ()  # of all who share the account; here and everywhere
    preferences: Preferences = field(default_factory=Preferences)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """One change by an administrator."""

    at: datetime
    by: str  # the member's id
    name: str
    surface: str
    tenant: str
    what: str  # the command's name
    target: str = ""
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A reported job that waits for an administrator's decision."""

    job: str
    tenant: str
    at: datetime  # of the first report
    reports: int  # people who reported it


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedReference:
    """A picture that a person or a place keeps by name, to paint by."""

    owner: str  # a member's id, or a place
    name: str
    member: str  # who saved it
    blob: str
    width: int
    height: int
    prompt: str = ""  # what it shows, as far as that is known
    job: str = ""  # of which it is a picture; empty for a file

    def columns(self) -> dict[str, str | int]:
        """Return it by the names of its columns."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """Something serious that a person asked for, or that was removed after a report."""

    key: str  # of the event or the review: it counts once
    member: str
    tenant: str  # where it counts; INSTANCE: everywhere
    category: str  # of moderation; "removed" after a report
    job: str | None = None
    at: datetime | None = None  # set when it is written down
    cool_off: datetime | None = None  # it began a cool-off, until then
    told: bool = False  # the person was told

    @property
    def at_once(self) -> bool:
        """Whether one is enough for a cool-off."""
        return self.category == "minors"

    @property
    def explained(self) -> str:
        """What the cool-off is for, in one sentence."""
        if self.at_once:
            return _("This is a cool-off: sexual content with minors was asked for.")
        return _("This is a cool-off after three strikes within 30 days.")


# --- contests ---------------------------------------------------------------------------------------------

ContestPhase = Literal["entries", "voting", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """A contest of images in a channel."""

    id: str
    surface: str
    tenant: str
    channel: str
    theme: str
    by: str  # the member who started it
    each: int = 1  # entries that one person may have
    started: datetime
    closes: datetime  # when its phase ends, or ended
    voting_days: int
    phase: ContestPhase = "entries"
    changes: int = 1  # so often has changed what its messages should show
    shown: int = 0  # the change up to which they show it
    messages: dict[str, Any] = field(default_factory=dict)  # which → the adapter's reference


@dataclass(frozen=True, slots=True, kw_only=True)
class ContestEntry:
    """An image in a contest."""

    contest: str
    job: str
    index: int  # of the job's picture
    member: str
    name: str  # as they were called then
    number: int  # in the voting; 0 before
    at: datetime
    votes: int


# --- what administrators look at --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What one model or person used, or one state came to, in one span of time."""

    at: datetime  # its beginning
    key: str  # the model's name, the member's id, or the state
    name: str  # to show
    jobs: int
    seconds: float  # device-seconds, measured
    others: int = 0  # with no key: how many all of these sum up, over the whole time


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """How long jobs of one span of time waited until they were started, in seconds."""

    at: datetime  # its beginning
    jobs: int
    median: float
    p90: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Somebody who asked for pictures lately, or for whom administrators have set something."""

    member: Member  # as of their last request
    last: datetime | None = None  # request
    jobs: int = 0
    seconds: float = 0.0  # device-seconds, measured
