"""Modals: the options of a command as fields, prefilled, and what comes back from them.

A field's block has the option's name as its id. What a form is about (where it was opened, the job it
edits, a picture that was chosen before) travels in its private_metadata, so that it can be sent after a
restart.

https://docs.slack.dev/surfaces/modals
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bot import commands, prompts
from bot.adapters.slack.layout import Block
from bot.errors import Refusal
from bot.i18n import Text, _, join, speech
from bot.messages.types import Form
from bot.options import Command, Option, clip
from bot.prompts.areas import GRID, cells_text

CALLBACK = "v1:form"
SHARE = "v1:share"
MAX_TITLE = 24
MAX_INPUT = 3000  # characters of a text field
MAX_METADATA = 3000
MAX_OPTION = 75  # characters of a menu's entry
MOST_OPTIONS = 100
_MOST = {"title": MAX_TITLE, "submit": MAX_TITLE, "close": MAX_TITLE, "text": MAX_OPTION}
"""Characters of a text by its key; 2,000 of others."""
WHERE = "where"  # the field that asks for a channel

_NOT_ASKED = ("reset", "logout")  # options that are commands rather than values
CELLS = "cells"  # the field for cells of a picture
PICTURES = ["png", "jpg", "jpeg", "webp", "heic", "heif"]

Choices = Mapping[str, Sequence[tuple[str, str]]]
"""Option name → (value, label) of each choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a form is about, and where it was opened; no `channel` is the person's own place."""

    channel: str = ""
    thread: str = ""
    command: str = "imagine"
    parent: str = ""  # the job that is edited
    source: str = ""  # a stored picture, "1a2b3c4d5e6f:1"
    file: str = ""  # the id of a Slack file that was chosen before
    hidden: bool = False  # opened from what only one person sees

    def pack(self) -> str:
        return json.dumps({key: value for key, value in asdict(self).items() if value}, ensure_ascii=False)


def unpack(metadata: str) -> About:
    """Read what `pack` wrote; ignore unknown keys, and return an empty About for anything else."""
    try:
        found = json.loads(metadata or "{}")
        return About(**{key: found[key] for key in About.__dataclass_fields__ if key in found})
    except (ValueError, TypeError):
        return About()


@dataclass(frozen=True, slots=True)
class FormAnswer:
    """What a form says: options as typed, an uploaded file as Slack describes it, and what it is about."""

    options: dict[str, object]
    upload: dict[str, Any] | None
    about: About
    mask: dict[str, Any] | None = None  # a further file
    unmarked: bool = False  # it asks for a part of a picture, and none was named


def modal(
    form: Form, about: About, choices: Choices, command: Command | None = None, *, ask_where: bool = False
) -> Block:
    """Build the view of a form; `command` is the form's command as it is for the person."""
    source = form.values.get("source", "")
    about = replace(about, command=form.command, parent=form.parent, source=source or about.source)
    command = command or commands.command(form.command)
    asked = [each for each in command.options if each.name not in _NOT_ASKED]
    if "region" in form.values:  # it asks for that first
        asked.sort(key=lambda each: each.name not in ("prompt", "region"))
    fields = [_field(each, form.values.get(each.name, ""), choices, about) for each in asked]
    if "region" in form.values:
        fields.insert(2, _cells())
    blocks = [_where(), *fields] if ask_where else fields
    view = {
        "type": "modal",
        "callback_id": CALLBACK,
        "title": _plain(form.title, MAX_TITLE),
        "submit": _plain(_("Generate") if form.command == "imagine" else _("Save"), MAX_TITLE),
        "close": _plain(_("Cancel"), MAX_TITLE),
        "private_metadata": about.pack()[:MAX_METADATA],
        "blocks": blocks,
    }
    return _translated(view, form.language)


def share(job: str, channel: str, language: str = "en") -> Block:
    """Build the view that asks for a channel to show a result in."""
    view = {
        "type": "modal",
        "callback_id": SHARE,
        "title": _plain(_("Share to channel"), MAX_TITLE),
        "submit": _plain(_("Share"), MAX_TITLE),
        "close": _plain(_("Cancel"), MAX_TITLE),
        "private_metadata": About(parent=job, channel=channel).pack(),
        "blocks": [_where(channel, optional=False)],
    }
    return _translated(view, language)


def waiting(language: str = "en") -> Block:
    """Build the view that is shown until the form is made."""
    return notice("Easel", [{"type": "section", "text": _plain(_("One moment…"), MAX_TITLE)}], language)


def notice(title: str, blocks: list[Block], language: str = "en") -> Block:
    """Build a view that only shows text, without fields."""
    view = {
        "type": "modal",
        "callback_id": "v1:notice",
        "title": _plain(title, MAX_TITLE),
        "close": _plain(_("Close"), MAX_TITLE),
        "blocks": blocks[:100],
    }
    return _translated(view, language)


# ---- fields


def _field(option: Option, value: str, choices: Choices, about: About) -> Block:
    hint = option.help
    if option.name == "source":
        chosen = about.source or (_("the image you chose") if about.file else "")
        hint = _("Left out: {chosen} is used.", chosen=chosen) if chosen else _("PNG, JPEG or WebP.")
    elif len(value) > MAX_INPUT:
        value, hint = value[:MAX_INPUT], _("Shortened to what Slack's field holds.")
    elif option.default and option.kind != "boolean":
        hint = join(" ", (hint, _("Left out: {default}.", default=option.default)))
    return {
        "type": "input",
        "block_id": option.name,
        "optional": not option.required,
        "label": _plain(option.title, 2000),
        "hint": _plain(hint, 2000),
        "element": _element(option, value, choices),
    }


def _element(option: Option, value: str, choices: Choices) -> Block:
    own: Block = {"action_id": option.name}
    if offered := choices.get(option.name):  # a menu must not be empty
        return own | _menu(offered, value)
    if option.choices:
        return own | _menu(option.labelled, value)
    match option.kind:
        case "picture":
            return own | {"type": "file_input", "filetypes": PICTURES, "max_files": 1}
        case "boolean":
            return own | _tick(option, value)
        case "integer" | "number":
            return own | _number(option, value)
    long = (option.maximum or 0) >= MAX_INPUT
    return own | _text(value, long=long, most=min(MAX_INPUT, int(option.maximum or MAX_INPUT)))


def _text(value: str, *, long: bool, most: int) -> Block:
    element: Block = {"type": "plain_text_input", "multiline": long, "max_length": most}
    return element | ({"initial_value": value[:most]} if value else {})


def _number(option: Option, value: str) -> Block:
    element: Block = {"type": "number_input", "is_decimal_allowed": option.kind == "number"}
    if option.minimum is not None:
        element["min_value"] = f"{option.minimum:.0f}"
    if option.maximum is not None:
        element["max_value"] = f"{option.maximum:.0f}"
    return element | ({"initial_value": value} if value else {})


def _tick(option: Option, value: str) -> Block:
    yes = {"text": _plain(option.help, MAX_OPTION), "value": "yes"}
    chosen = value.casefold() in ("yes", "true", "on", "1")
    return {"type": "checkboxes", "options": [yes]} | ({"initial_options": [yes]} if chosen else {})


def _menu(choices: Sequence[tuple[str, str]], value: str) -> Block:
    """Build a menu. A value that is none of its entries is added to them."""
    entries = [_entry(*each) for each in choices[: MOST_OPTIONS - 1]]
    chosen = next((each for each in entries if each["value"] == value), None)
    if value and chosen is None:
        chosen = _entry(value, value)
        entries = [chosen, *entries]
    return {"type": "static_select", "options": entries} | ({"initial_option": chosen} if chosen else {})


def _cells() -> Block:
    numbers = [_entry(str(each), str(each)) for each in range(1, GRID**2 + 1)]
    return {
        "type": "input",
        "block_id": CELLS,
        "optional": True,
        "label": _plain(_("Or cells of the image"), 2000),
        "element": {"type": "multi_static_select", "action_id": CELLS, "options": numbers},
    }


def _entry(value: str, label: str) -> Block:
    return {"text": _plain(label, MAX_OPTION), "value": value[:150]}


def _where(channel: str = "", *, optional: bool = True) -> Block:
    element: Block = {
        "type": "conversations_select",
        "action_id": WHERE,
        "filter": {"include": ["public", "private", "mpim"], "exclude_bot_users": True},
    }
    element |= {"initial_conversation": channel} if channel else {"default_to_current_conversation": optional}
    return {
        "type": "input",
        "block_id": WHERE,
        "optional": optional,
        "label": _plain(_("Where"), 2000),
        "hint": _plain(
            _("Left out: our direct messages.") if optional else _("Everyone there will see it."), 2000
        ),
        "element": element,
    }


def _translated(block: Block, language: str, most: int = 2000) -> Block:
    """Translate the words of a view, or of a part of one; what somebody typed stays as it is."""
    if block.get("type") == "plain_text":
        return _plain(speech.say(block["text"], language), most)
    return {key: _part(value, language, _MOST.get(key, 2000)) for key, value in block.items()}


def _part(value: Any, language: str, most: int) -> Any:
    if isinstance(value, list):
        return [_part(each, language, most) for each in value]
    return _translated(value, language, most) if isinstance(value, dict) else value


def _plain(text: str, most: int) -> Block:
    """Return a text block; a message stays one, and is clipped once it is translated."""
    shown = text if isinstance(text, Text) else clip(text, most)
    return {"type": "plain_text", "text": shown or "…", "emoji": False}


# ---- what comes back


def read(view: Mapping[str, Any]) -> FormAnswer:
    """Read what was filled in; fields that were left empty are not in the options."""
    about = unpack(view.get("private_metadata", ""))
    fields = dict(_fields(view))
    if place := fields.pop(WHERE, None):
        about = replace(about, channel=str(place), hidden=False)
    upload, mask = fields.pop("source", None), fields.pop("mask", None)
    if cells := fields.pop(CELLS, None):
        fields.setdefault("region", cells)
    options: dict[str, object] = dict(fields)
    if about.source and not upload:
        options["source"] = about.source
    if about.command == "settings":  # the form shows all of them, so what is empty was taken away
        options = {name: "no" for name in _TICKED} | options | {"reset": "yes"}
    asks_for_part = any(block.get("block_id") == CELLS for block in view.get("blocks", ()))
    unmarked = asks_for_part and "region" not in options and not mask
    return FormAnswer(options, _file(upload), about, _file(mask), unmarked)


def _file(found: object) -> dict[str, Any] | None:
    return found if isinstance(found, dict) else None


_TICKED = [each.name for each in commands.command("settings").options if each.default == "yes"]
"""Boxes of the settings that are ticked unless somebody unticks them."""


def _fields(view: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    values: Mapping[str, Any] = (view.get("state") or {}).get("values") or {}
    for block, actions in values.items():
        for state in actions.values():
            if (value := _value(state)) not in (None, ""):
                yield block, value


def _value(state: Mapping[str, Any]) -> Any:
    match state.get("type"):
        case "static_select" | "external_select" | "radio_buttons":
            return (state.get("selected_option") or {}).get("value")
        case "multi_static_select":
            chosen = [each["value"] for each in state.get("selected_options") or ()]
            return cells_text(chosen) if chosen else None
        case "checkboxes":
            return "yes" if state.get("selected_options") else None
        case "conversations_select":
            return state.get("selected_conversation")
        case "file_input":
            return next(iter(state.get("files") or ()), None)
    return state.get("value")


def mistakes(answer: FormAnswer) -> dict[str, str]:
    """Return field → what is wrong with it, as far as that can be told at once."""
    if answer.unmarked:
        return {"region": _("Say which part to change: by words, by a box, or by cells.")}
    shown = {each.name for each in commands.command(answer.about.command).options} - {
        *_NOT_ASKED,
        "source",
        "mask",
    }
    said = {name: value for name, value in answer.options.items() if name in shown and name != "prompt"}
    if answer.about.command != "imagine":
        return _each(said, lambda name, value: commands.check(answer.about.command, {name: value}))
    pictured = answer.options.get("source") or answer.upload or answer.about.file
    source = {"source": _STAND_IN} if pictured else {}
    found = _each(said, lambda name, value: prompts.parse(_STAND_IN, {**source, name: value}))
    return found or _each(
        {"prompt": str(answer.options.get("prompt", ""))},
        lambda _, prompt: prompts.parse(prompt, {**source, **said}),
    )


_STAND_IN = "picture"  # a prompt to read an option beside


def _each(values: Mapping[str, Any], check: Callable[[str, Any], object]) -> dict[str, str]:
    found = {}
    for name, value in values.items():
        try:
            check(name, value)
        except Refusal as refusal:
            found[name] = refusal.notice
    return found
