"""Whether Slack would take some blocks or a view: by slack_sdk's own models, and the limits they leave out.

https://docs.slack.dev/reference/block-kit
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

Json = dict[str, Any]

MOST_IN_MESSAGE, MOST_IN_VIEW = 50, 100
MOST_TEXT = 13_200  # characters of all blocks of a message; more is msg_blocks_too_long
MOST_OPTION = {"static_select": 100, "multi_static_select": 100, "radio_buttons": 10, "checkboxes": 10}
ONLY_IN_MODALS = {"file_input"}
NEVER_IN_VIEWS = {"markdown", "file"}

_FILLED = {
    "button",
    "overflow",
    "static_select",
    "external_select",
    "plain_text_input",
    "number_input",
    "checkboxes",
    "radio_buttons",
    "file_input",
}

_PING = re.compile(r"<!(?:channel|here|everyone|subteam\^[^>|]+)(?:\|[^>]*)?>|<@([UW]\w+)(?:\|[^>]*)?>")


def wrong(blocks: Any, *, place: str = "message") -> list[str]:
    """What is wrong with the blocks of a message, a modal or a home tab."""
    if not isinstance(blocks, list) or not all(isinstance(each, dict) for each in blocks):
        return ["the blocks are no list of objects"]
    most = MOST_IN_MESSAGE if place == "message" else MOST_IN_VIEW
    found = [f"{len(blocks)} blocks, {most} at most"] if len(blocks) > most else []
    found += [f"{where}: {what}" for where, what in _each(blocks)]
    found += _misplaced(blocks, place)
    found += _repeated("block_id", (each.get("block_id") for each in blocks))
    return found


def wrong_view(view: Any) -> list[str]:
    """What is wrong with a view."""
    if not isinstance(view, dict):
        return ["the view is no object"]
    found = wrong(view.get("blocks"), place=view.get("type", ""))
    try:
        View(**view).validate_json()
    except (SlackObjectFormationError, TypeError, AttributeError) as error:
        found.append(str(error))
    has_inputs = any(each["type"] == "input" for each in view.get("blocks", []))
    if view.get("type") == "modal":
        found += [] if view.get("title") else ["a modal needs a title"]
        found += ["a modal with inputs needs submit"] if has_inputs and not view.get("submit") else []
    elif view.get("title"):
        found.append("a home tab has no title")
    found += ["external_id is too long"] if len(view.get("external_id", "")) > 255 else []
    return found


def _each(blocks: list[Json]) -> Iterator[tuple[str, str]]:
    for index, block in enumerate(blocks):
        where = f"/blocks/{index}"
        try:
            parsed = Block.parse(dict(block))
            kept = parsed.to_dict() if parsed else {}
        except (SlackObjectFormationError, TypeError, AttributeError) as error:
            yield where, str(error)
            continue
        for path in _lost(block, kept):
            yield where + path, "is not known to slack_sdk"
        for path, part in parts(block):
            for what in _limits(part):
                yield where + path, what


def _lost(given: Any, kept: Any, path: str = "") -> Iterator[str]:
    """What slack_sdk's models dropped."""
    if isinstance(given, dict):
        for key, value in given.items():
            if value in (None, "", [], {}):
                continue
            if not isinstance(kept, dict) or key not in kept:
                yield f"{path}/{key}"
            else:
                yield from _lost(value, kept[key], f"{path}/{key}")
    elif isinstance(given, list):
        if not isinstance(kept, list | tuple) or len(kept) != len(given):
            yield path
        else:
            for index, (one, other) in enumerate(zip(given, kept, strict=True)):
                yield from _lost(one, other, f"{path}/{index}")


def parts(value: Any, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every object inside, itself first, with its place."""
    if isinstance(value, dict):
        yield path, value
        for key, each in value.items():
            yield from parts(each, f"{path}/{key}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from parts(each, f"{path}/{index}")


def _limits(part: Json) -> Iterator[str]:
    kind = part.get("type")
    if kind in ("mrkdwn", "plain_text"):
        text = part.get("text")
        if not isinstance(text, str) or not text:
            yield "a text must have at least 1 character"
        if kind == "mrkdwn" and "emoji" in part:
            yield "emoji belongs to plain_text"
    if kind == "image":
        if not part.get("alt_text"):
            yield "alt_text is missing"
        if ("image_url" in part) == ("slack_file" in part):
            yield "one of image_url and slack_file"
    if kind == "section":
        yield from ("a field has more than 2000 characters" for f in part.get("fields", ()) if _long(f, 2000))
    if kind == "header" and _long(part.get("text"), 150):
        yield "a header has more than 150 characters"
    if kind == "input" and _long(part.get("label"), 2000):
        yield "a label has more than 2000 characters"
    if kind in ("actions", "context"):
        yield from _elements(part)
    if kind in MOST_OPTION:
        yield from _options(part, MOST_OPTION[kind])
    if kind == "plain_text_input":
        yield from _text_input(part)
    if kind == "button" and part.get("style") not in (None, "primary", "danger"):
        yield f"no style {part['style']}"


def _elements(part: Json) -> Iterator[str]:
    if not part.get("elements"):
        yield "elements are missing"
    yield from _repeated("action_id", (each.get("action_id") for each in part.get("elements", ())))


def _options(part: Json, most: int) -> Iterator[str]:
    options = part.get("options") or [
        each for group in part.get("option_groups", ()) for each in group["options"]
    ]
    if not 1 <= len(part.get("options") or part.get("option_groups") or ()) <= most:
        yield f"1 to {most} options"
    values = [each["value"] for each in options]
    yield from _repeated("value", values)
    chosen = [part["initial_option"]] if "initial_option" in part else part.get("initial_options", [])
    yield from ("an initial option is not among the options" for each in chosen if each not in options)


def _text_input(part: Json) -> Iterator[str]:
    most = part.get("max_length", 3000)
    if not 1 <= most <= 3000:
        yield "max_length is not from 1 to 3000"
    if not 0 <= part.get("min_length", 0) <= 3000:
        yield "min_length is not from 0 to 3000"
    if len(part.get("initial_value", "")) > most:
        yield f"initial_value has more than {most} characters"


def _long(text: Json | None, most: int) -> bool:
    return bool(text) and len(str(text.get("text", ""))) > most


def _repeated(what: str, values: Any) -> list[str]:
    given = [value for value in values if value is not None]
    twice = {value for value in given if given.count(value) > 1}
    return [f"{what} {value} stands twice" for value in sorted(twice)]


def _misplaced(blocks: list[Json], place: str) -> list[str]:
    kinds: set[Any] = {part.get("type") for block in blocks for _, part in parts(block)}
    wrong = (set() if place == "message" else NEVER_IN_VIEWS) | (
        set() if place == "modal" else ONLY_IN_MODALS
    )
    return [f"{kind} does not belong in a {place}" for kind in sorted(kinds & wrong)]


# ---- what people see


def texts(value: Any) -> list[str]:
    """All the text of some blocks, in order, without that of what can be pressed or filled in."""
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    if not isinstance(value, dict) or value.get("type") in _FILLED:
        return []
    if value.get("type") == "rich_text_section":  # one line
        parts = [each.get("text") or f"<@{each.get('user_id', '')}>" for each in value["elements"]]
        return ["".join(parts)]
    own = [value["text"]] if isinstance(value.get("text"), str) else []
    return own + [text for each in value.values() for text in texts(each)]


def pressable(blocks: list[Json]) -> Iterator[tuple[str, Json, Json]]:
    """What can be pressed or chosen: (label, block, the action's element)."""
    for block in blocks:
        inside = [*block.get("elements", ()), block.get("accessory") or {}]
        for element in inside:
            if element.get("type") == "button":
                yield _label(element), block, element
            for option in element.get("options", ()):
                yield _label(option), block, element | {"selected_option": option}


def _label(element: Json) -> str:
    """What stands on it, without an icon before the words."""
    return re.sub(r"^[^\x00-\x7f]+\s", "", element["text"]["text"])


def pictures(blocks: list[Json]) -> list[Json]:
    """The image parts."""
    return [part for block in blocks for _, part in parts(block) if part.get("type") == "image"]


def pings(blocks: list[Json], text: str = "") -> set[str]:
    """Whom a message notifies: user ids, and <!…> for many."""
    marked = [part["text"] for block in blocks for _, part in parts(block) if part.get("type") == "mrkdwn"]
    marked += [part["text"] for block in blocks for _, part in parts(block) if part.get("type") == "markdown"]
    rich = [part for block in blocks for _, part in parts(block) if part.get("type") in ("user", "broadcast")]
    found = {each.group(1) or each.group(0) for source in (*marked, text) for each in _PING.finditer(source)}
    return found | {part.get("user_id") or f"<!{part.get('range')}>" for part in rich}


def amount_of_text(blocks: list[Json]) -> int:
    return sum(
        len(part["text"]) for block in blocks for _, part in parts(block) if isinstance(part.get("text"), str)
    )
