"""From cards to HTML: the templates, and the small words and shapes they need."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from bot import actions, formats
from bot.actions import ActionSpec, Kind
from bot.adapters.web.assets import Asset
from bot.adapters.web.downloads import Link
from bot.i18n import Text, _, join, ngettext
from bot.i18n.speech import say
from bot.messages import answers
from bot.messages.types import Button, Card, CardPicture
from bot.models import Balance, Job
from bot.options import CHOICES

TEMPLATES = Path(__file__).parent / "templates"
TABS = (
    ("channel", "/", _("Channel")),
    ("line", "/line", _("Queue")),
    ("gallery", "/gallery", _("Gallery")),
)
QUARTERS = 4
PERIODS = {
    None: "",
    "hour": _("This hour"),
    "day": _("Today"),
    "week": _("This week"),
    "month": _("This month"),
}
DOINGS = {"painting": _("generating"), "waiting": _("waiting"), "on hold": _("on hold")}
KINDS: Mapping[Kind, str] = {
    "waiting": _("Waiting"),
    "painting": _("Generating"),
    "done": _("Done"),
    "upscaled": _("Upscaled"),
    "refused": _("Not possible"),
    "failed": _("Failed"),
    "cancelled": _("Cancelled"),
    "deleted": _("Deleted"),
}
SCRIPT = (
    _("The studio cannot be reached. Nothing was sent; try again."),
    _("The studio could not answer. Try again."),
    _("This image has {size} MB; {most} MB are allowed. Choose a smaller one."),
    _("{title}. The composer holds its prompt."),
    _("Less"),
    _("More"),
    _("Press again: {name}."),
    _("Suggestions: the arrow keys choose, Tab accepts."),
    _("The theme is light."),
    _("The theme is dark."),
    _("Sure?"),
    _("Day"),
    _("From"),
    _("{percent} % of the image is marked."),
    _("Nothing is drawn yet."),
    _("Nothing is marked yet. Paint over what is to change."),
)
"""What the scripts say, as it stands in them."""


@dataclass(frozen=True, slots=True)
class SeenPicture:
    """A picture that is no job's, at an address for one person."""

    url: str
    picture: CardPicture


class Views:
    """Renders templates; everything that came from a person is escaped."""

    def __init__(self, assets: Mapping[str, Asset], *, is_open: bool = False) -> None:
        """Set up the templates; `is_open`: anybody may take a name, so no name is one person's alone."""
        self._assets = assets
        self._is_open = is_open
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=translated,
        )
        self._environment.globals.update(
            alone=self._alone,
            asset=lambda name: assets[name].url,
            icon=self._icon,
            avatar=avatar,
            clock=clock,
            day=day,
            picture_url=picture_url,
            preview_url=preview_url,
            said=said,
            shape=shape,
            spoken=spoken,
            strips=strips,
            stage=stage,
            button_icon=button_icon,
            confirmation=confirmation,
            _=_,
            ngettext=ngettext,
            bold=lambda text: Markup("<b>{}</b>").format(text),
            code=lambda text: Markup("<code>{}</code>").format(text),
            key=lambda text: Markup("<kbd>{}</kbd>").format(text),
            spoken_data=spoken_data,
            time_of=time_of,
            choice=lambda name: CHOICES.get(name, name),
            states=answers.STATES,
            doings=DOINGS,
            script_words=script_words,
            tabs=TABS,
            person_url=person_url,
            review_url=review_url,
            balance_name=balance_name,
            part_used=part_used,
            gigabytes=gigabytes,
            file_size=file_size,
            used=answers.used,
            resets=answers.resets,
            amount=formats.amount,
            about=formats.about,
            ordinal=formats.ordinal,
            span=formats.span,
            moment=answers.moment,
        )

    def compile(self) -> None:
        """Make all templates ready; blocks. The first page would wait for it otherwise."""
        for name in self._environment.list_templates():
            self._environment.get_template(name)

    def render(self, template: str, **values: Any) -> str:
        return self._environment.get_template(template).render(values)

    def encoded(self, template: str, **values: Any) -> bytes:
        """Render as `render` does, encoded to be sent; to be called in a thread."""
        return self.render(template, **values).encode()

    def message(self, job: Job, card: Card) -> str:
        """Render a job's message, the same for everyone who may see it."""
        return self.render("message.html", job=job, card=card, language=card.language)

    def whisper(self, card: Card, links: Sequence[Link] = (), shown: Sequence[SeenPicture] = ()) -> str:
        """Render an answer that only the person who asked sees, with its files and pictures."""
        return self.render(
            "message.html", job=None, card=card, links=links, shown=shown, language=card.language
        )

    def _alone(self, job: Job) -> str:
        """Return who sees a private job, in words."""
        named = self._is_open and job.origin.member.id.startswith("web:")
        return _("Only this name") if named else _("Only you")

    def _icon(self, name: str) -> Markup:
        url = self._assets["icons.svg"].url
        return Markup('<svg class="i" aria-hidden="true"><use href="{}#{}"/></svg>').format(url, name)


@pass_context
def translated(context: Context, value: object) -> object:
    """Return what a template shows: a message in the page's language, around the elements in it."""
    if not isinstance(value, Text):
        return value
    elements = {name: each for name, each in value.values.items() if hasattr(each, "__html__")}
    if not elements:
        return say(value, context["language"])
    marked = value.format(**{name: f"\0{name}\0" for name in elements})
    spoken = str(escape(say(marked, context["language"])))
    for name, element in elements.items():
        spoken = spoken.replace(f"\0{name}\0", str(element))
    return Markup(spoken)


@pass_context
def spoken_data(context: Context, data: Any) -> Any:
    """Return data for a script with its messages in the page's language."""
    match data:
        case dict():
            return {key: spoken_data(context, each) for key, each in data.items()}
        case list():
            return [spoken_data(context, each) for each in data]
    return translated(context, data)


def script_words(language: str) -> dict[str, str]:
    """Return what the page's scripts say, by the English that stands in them."""
    return {str(each): say(each, language) for each in SCRIPT}


def time_of(moment: datetime) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(moment.isoformat(), day(moment))


def avatar(name: str) -> Markup:
    hue = zlib.crc32(name.casefold().encode()) % 12
    initial = next((c for c in name if c.isalnum()), "·").upper()
    return Markup('<span class="avatar hue-{}" aria-hidden="true" data-initial="{}"></span>').format(
        hue, initial
    )


def clock(moment: datetime) -> str:
    """Format the time in the server's zone; the page's script shows it in the reader's."""
    return f"{moment.astimezone():%H:%M}"


def day(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d}"


def picture_url(job: str, blob: str, width: int = 0) -> str:
    return f"/pictures/{quote(job, safe='')}/{quote(blob)}" + (f"?width={width}" if width else "")


def review_url(job: str, blob: str) -> str:
    return f"/admin{picture_url(job, blob)}"


def person_url(id: str) -> str:
    return f"/admin/people/{quote(id, safe=':')}"


def balance_name(balance: Balance) -> str:
    match balance.name:
        case "":
            return PERIODS[balance.per]
        case "gift":
            return _("Gifts")
    return balance.name


def part_used(balance: Balance) -> float:
    """Return the part of an allowance that is used, 0 … 1."""
    return min(1.0, balance.used / balance.cap) if balance.cap else 1.0


def gigabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"


def file_size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{max(1, round(size / 1e3))} kB"


def preview_url(job: str, picture: CardPicture) -> str:
    """Return a preview's address; it changes with the preview, so that browsers fetch only a new one."""
    return f"/jobs/{quote(job, safe='')}/preview?{zlib.crc32(picture.preview):08x}"


def shape(picture: CardPicture) -> str:
    """Return the class that carries the aspect ratio, in tenths: `a-16` is 16:10."""
    ratio = picture.width / max(1, picture.height)
    return f"a-{min(25, max(5, round(ratio * 10)))}"


def spoken(label: str, button: Button) -> str:
    """Return the accessible name; it always holds the visible label, for those who speak what they see."""
    seen = label.casefold() in button.name.casefold()
    return button.name if seen else f"{label}: {button.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One row of buttons as the page shows it."""

    buttons: tuple[tuple[str, Button], ...]  # visible label, button
    kind: Literal["", "strip"] = ""
    caption: str = ""


def strips(rows: Sequence[Sequence[Button]]) -> list[Strip]:
    """Return the rows: U1 to U4 behind "Upscale", numbers side by side, everything else as words."""
    return [_strip(row) for row in rows]


def _strip(row: Sequence[Button]) -> Strip:
    if not all(_of_one(button) for button in row):
        return Strip(buttons=tuple((button.label, button) for button in row))
    first_words = tuple((button.label.split()[0], button) for button in row)
    return Strip(buttons=first_words, kind="strip", caption=_spec(row[0]).alone)


def _of_one(button: Button) -> bool:
    """Tell whether the label carries the picture's number, as in "U1" or "V1 subtle"."""
    return bool(re.match(r"[UV]?\d+\b", button.label))


def button_icon(button: Button) -> str:
    """Return the icon before a label of words; an empty text for a number."""
    return "" if _of_one(button) else _spec(button).symbol


def confirmation(button: Button) -> str:
    """Return the text to show before a second press runs the action; empty where one press is enough."""
    return _spec(button).confirm


def _spec(button: Button) -> ActionSpec:
    return actions.parse(button.id).spec


def stage(card: Card) -> str:
    """Return what is worth announcing: a new state, or another quarter of the steps."""
    quarter = math.floor(card.bar.done * QUARTERS) if card.bar and card.kind == "painting" else 0
    return f"{card.kind}-{min(quarter, QUARTERS - 1)}"


def said(card: Card) -> str:
    """Describe the card in one sentence, for a screen reader."""
    parts = [card.title, *(card.facts[:2]), card.bar.label if card.bar else ""]
    told = join(", ", parts)
    return told if card.kind == "text" else join(": ", (KINDS[card.kind], told))
