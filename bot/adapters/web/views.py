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

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bot import actions, formats
from bot.actions import ActionSpec
from bot.adapters.web.assets import Asset
from bot.adapters.web.downloads import Link
from bot.messages import answers
from bot.messages.types import Button, Card, CardPicture
from bot.models import Balance, Job
from bot.words import say

TEMPLATES = Path(__file__).parent / "templates"
PLACES = (("channel", "/", "Channel"), ("line", "/line", "Line"), ("gallery", "/gallery", "Gallery"))
QUARTERS = 4


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
            say=say,
            places=PLACES,
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
        return self.render("message.html", job=job, card=card)

    def whisper(self, card: Card, links: Sequence[Link] = ()) -> str:
        """Render an answer that only the person who asked sees, with files to download."""
        return self.render("message.html", job=None, card=card, links=links)

    def _alone(self, job: Job) -> str:
        """Return who sees a private job, in words."""
        named = self._is_open and job.origin.member.id.startswith("web:")
        return "Only this name" if named else "Only you"

    def _icon(self, name: str) -> Markup:
        url = self._assets["icons.svg"].url
        return Markup('<svg class="i" aria-hidden="true"><use href="{}#{}"/></svg>').format(url, name)


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
            return f"This {balance.per}" if balance.per != "day" else "Today"
        case "gift":
            return "Gifts"
    return balance.name[:1].upper() + balance.name[1:]


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


def strips(rows: Sequence[Sequence[Button]], language: str = "en") -> list[Strip]:
    """Return the rows: U1 to U4 behind "Upscale", numbers side by side, everything else as words."""
    return [_strip(row, language) for row in rows]


def _strip(row: Sequence[Button], language: str) -> Strip:
    if not all(_of_one(button) for button in row):
        return Strip(buttons=tuple((button.label, button) for button in row))
    first_words = tuple((button.label.split()[0], button) for button in row)
    return Strip(buttons=first_words, kind="strip", caption=say(_spec(row[0]).alone, language))


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
    state = "" if card.kind == "text" else f"{say(card.kind.capitalize(), card.language)}: "
    return state + ", ".join(part for part in parts if part)
