"""A message as data: text, pictures, progress, rows of buttons. Adapters only render it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from bot import upscaling
from bot.actions import ActionSpec, Kind, Style, Whose
from bot.models import Job, State
from engine.types import NamedSize, TaskKind


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
    name: str = ""  # of its file, without the ending
    preview: bytes = b""  # WebP
    transparent: bool = False  # what lies behind it shows
    size: NamedSize | None = None  # in which it is one of a pack: its file's format and limit


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
    listed: bool = False  # each picture stands beside its line, where the surface can
    spoiler: bool = False  # pictures are covered until someone clicks, where the surface can
    files: tuple[tuple[str, bytes], ...] = ()  # name and content of files to hand over that are no pictures
    language: str = "en"  # that its words are in; see `i18n`
    asker: str = ""  # the name of whoever it is for, where others read it too; it is told as news
    mentions: bool = False  # they are notified


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

    tasks: frozenset[TaskKind] = frozenset(get_args(TaskKind))
    who: frozenset[Whose] = frozenset(get_args(Whose))  # what they are to the job
    enters: bool = True  # a contest takes it

    def do(self, spec: ActionSpec, job: Job) -> bool:
        fits = (job.series is not None or not spec.of_series) and (self.enters or not spec.in_contest)
        fits = fits and (job.request.draft or not spec.of_draft)
        return fits and self._can(spec, job) and not self.who.isdisjoint(spec.whose)

    def _can(self, spec: ActionSpec, job: Job) -> bool:
        """Tell whether there is a model for what the action does."""
        match spec.task:
            case "":
                return True
            case "same":
                done = job.state is State.RENDERED and job.request.kind == "cut_out"
                return job.request.kind in self.tasks and not done  # it would be the same
            case "form":
                return bool({"text_to_image", job.request.before_upscale().kind} & self.tasks)
            case "upscale" | "creative_upscale" as task:
                room = any(upscaling.has_room((each.width, each.height)) for each in job.singles)
                return task in self.tasks and room
            case task:
                return task in self.tasks


ANYTHING = May()
