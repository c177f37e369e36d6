"""A form as Discord's modal, and what comes back from it.

A modal has five fields: prompt, negative prompt, style, the other options as flags, a picture to start from.
Its id says what it is about, and what is sent is read from the event alone, so that a form that was opened
before a restart can still be sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import discord
from discord import ui

from bot import commands, prompts
from bot.errors import Refusal
from bot.i18n import _, speech
from bot.messages.types import Form
from bot.options import Command, clip
from bot.prompts.areas import GRID, cells_text
from bot.prompts.draft import MAX_PROMPT
from bot.prompts.styles import NO_STYLE
from bot.prompts.styles import load as load_styles

MAX_TITLE = 45
MOST_STYLES = 24
_ID = re.compile(r"v1:form:(?P<parent>\w{0,32})(?::(?P<picture>\d{1,20}))?", re.ASCII)
_PLAIN_HINT = _("Flags, as in --ar 16:9 --count 2")
_OWN = ("prompt", "negative", "style")  # fields of their own; the other options share one


@dataclass(frozen=True, slots=True)
class Answer:
    """What a form says: options as typed, an uploaded picture, and what the form was about."""

    options: dict[str, str]
    upload: discord.Attachment | None
    parent: str
    picture: str  # the key of a picture that was chosen before the form was opened


def modal(
    form: Form,
    picture: str = "",
    imagine: Command | None = None,
    styles: Sequence[tuple[str, str]] | None = None,
) -> ui.Modal:
    """Build the modal of a form, prefilled. It is stopped: what is sent arrives as an event.

    `imagine` is the command as it is for the person, `styles` are name and label of what they may choose.
    """
    imagine = imagine or commands.command("imagine")
    if styles is None:
        styles = [(style.name, style.label) for style in load_styles().styles.values()]
    values, say = form.values, partial(speech.say, language=form.language)
    made = ui.Modal(
        title=form.title[:MAX_TITLE],
        custom_id=f"v1:form:{form.parent}" + (f":{picture}" if picture else ""),
        timeout=None,
    )
    made.add_item(_text(say(_("Prompt")), "prompt", values, long=True, required=True))
    if "region" in values:
        _ask_region(made, values, say)
        made.stop()
        return made
    hint = say(_("What should not be in the image."))
    if imagine.option("negative"):
        made.add_item(_text(say(_("Negative prompt")), "negative", values, hint))
    chosen = _styles(styles, values.get("style", ""), say(_("None")))
    made.add_item(ui.Label(text=say(_("Style")), component=chosen))
    others = {name: value for name, value in values.items() if name not in _OWN}
    pictures = imagine.option("source") is not None
    strong = imagine.option("strength") is not None
    hint = say(_("Flags, as in --ar 16:9 --count 2 --strength 0.6") if strong else _PLAIN_HINT)
    made.add_item(_text(say(_("Other options")), "flags", {"flags": prompts.flags(others)}, hint))
    upload: ui.FileUpload[Any] = ui.FileUpload(custom_id="source", required=False, min_values=0, max_values=1)
    if pictures:
        made.add_item(ui.Label(text=say(_("Image prompt")), component=upload))
    made.stop()
    return made


def _ask_region(made: ui.Modal, values: Mapping[str, str], say: Callable[[str], str]) -> None:
    """Add the fields of a form that asks which part of a picture to change."""
    hint = say(_("Words such as “top right” or “the cup”, or a box such as 10,20,60,80 in percent."))
    made.add_item(_text(say(_("Region")), "region", values, hint))
    numbers = [discord.SelectOption(label=str(each)) for each in range(1, GRID**2 + 1)]
    cells: ui.Select[Any] = ui.Select(
        custom_id="cells", options=numbers, required=False, min_values=0, max_values=len(numbers)
    )
    made.add_item(ui.Label(text=say(_("Or cells of the image")), component=cells))
    others = {name: value for name, value in values.items() if name not in ("prompt", "region")}
    made.add_item(_text(say(_("Other options")), "flags", {"flags": prompts.flags(others)}, say(_PLAIN_HINT)))


def _text(
    label: str,
    name: str,
    values: Mapping[str, str],
    hint: str = "",
    *,
    long: bool = False,
    required: bool = False,
) -> ui.Label[Any]:
    field: ui.TextInput[Any] = ui.TextInput(
        custom_id=name,
        style=discord.TextStyle.paragraph if long else discord.TextStyle.short,
        default=values.get(name, "")[:MAX_PROMPT] or None,
        required=required,
        max_length=MAX_PROMPT,
    )
    return ui.Label(text=label, description=hint or None, component=field)


def _styles(known: Sequence[tuple[str, str]], chosen: str, none: str) -> ui.Select[Any]:
    shown = sorted(known, key=lambda style: style[0] != chosen)
    options = [discord.SelectOption(label=none, value=NO_STYLE, default=chosen in ("", NO_STYLE))]
    options += [
        discord.SelectOption(label=label, value=name, default=name == chosen)
        for name, label in shown[:MOST_STYLES]
    ]
    return ui.Select(custom_id="style", options=options, required=False, min_values=0)


def read(interaction: discord.Interaction[Any]) -> Answer:
    """Read a form that was sent. Raises Refusal for a form that is not Easel's, and for invalid options."""
    data: Mapping[str, Any] = interaction.data or {}
    if not (about := _ID.fullmatch(data["custom_id"])):
        raise Refusal(_("Easel does not know this form. Ask again with /imagine."), code="unknown")
    fields = {field["custom_id"]: field for field in _fields(data.get("components", ()))}
    upload = _upload(interaction, fields.get("source", {}), data.get("resolved", {}))
    options = {"prompt": _value(fields, "prompt"), "negative": _value(fields, "negative")}
    options["style"] = next(iter(fields.get("style", {}).get("values", ())), "")
    options |= _flags(_value(fields, "flags"))
    if "region" in fields:
        cells = fields.get("cells", {}).get("values", ())
        options["region"] = _value(fields, "region") or (cells_text(cells) if cells else "")
        if not options["region"]:
            raise Refusal(_("Say which part to change: by words, by a box, or by cells."), code="region")
    return Answer(options, upload, about["parent"], about["picture"] or "")


def _fields(components: Any) -> Iterator[Mapping[str, Any]]:
    for each in components:
        inner = [each["component"]] if "component" in each else each.get("components", ())
        yield from (field for field in inner if "custom_id" in field)


def _value(fields: Mapping[str, Mapping[str, Any]], name: str) -> str:
    return str(fields.get(name, {}).get("value") or "")


def _flags(typed: str) -> dict[str, str]:
    """Parse each option by itself, so that no flag takes words of the prompt. Raises Refusal."""
    if not typed.strip():
        return {}
    said = prompts.said(prompts.parse(f"{_STAND_IN} {typed}", ranged=False))
    rest = said.pop("prompt")
    if rest != _STAND_IN:
        extra = clip(rest.removeprefix(_STAND_IN).strip())
        raise Refusal(
            _("“{extra}” is not an option. Other options are flags, as in --ar 16:9 --count 2.", extra=extra)
        )
    return said


_STAND_IN = "picture"  # a prompt to read flags beside


def _upload(
    interaction: discord.Interaction[Any], field: Mapping[str, Any], resolved: Mapping[str, Any]
) -> discord.Attachment | None:
    for id in field.get("values", ()):
        return discord.Attachment(data=resolved["attachments"][id], state=interaction.client._connection)
    return None
