"""A card as Slack shows it: Block Kit blocks of text, pictures and rows of buttons.

https://docs.slack.dev/reference/block-kit/blocks
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot import commands
from bot.actions import ACTIONS, Action, job_in
from bot.adapters.slack.slash_commands import EASEL, IMAGINE
from bot.i18n import speech
from bot.messages import marks
from bot.messages.job_cards import button as button_of
from bot.messages.job_cards import of_whole
from bot.messages.types import Bar, Button, Card, CardPicture
from bot.options import clip

Block = dict[str, Any]

MAX_SECTION = 2900  # characters of a section, of 3000, after escaping
MAX_BODY = 3  # sections
MAX_ALT = 2000
MAX_LABEL = 75
MOST_BUTTONS = 23  # of an actions block, which takes 25 elements; two menus may follow
MOST_ENTRIES = 5  # of an overflow menu
MOST_THUMBNAILS = 10

_NONE: Mapping[str, str] = {}
_STYLES = {"primary": "primary", "danger": "danger"}


def blocks(card: Card, files: Mapping[str, str] = _NONE, note: str = "", asker: str = "") -> list[Block]:
    """Build a card's blocks. `files`: blob → id of its Slack file; pictures without one are left out.

    `asker`: the id of the person that the card is for.
    """
    lines = [*card.body, *([note] if note else [])]
    shown = [(each, files[each.blob]) for each in chosen(card) if each.blob in files]
    found = [_title(card, asker)] if card.title or card.asker else []
    found += [_context(_facts(card))] if _facts(card) else []
    found += [_section(f"<{card.link}>")] if card.link else []
    if _is_list(card, shown):
        found += [
            _section(_fitting(line, MAX_SECTION) or "…", _image(*picture))
            for line, picture in zip(lines, shown, strict=False)
        ]
        found += _sections(lines[len(shown) :])
    else:
        found += _sections(lines)
        found += [_image(*picture) for picture in shown]
    found += [{"type": "actions", "elements": elements} for elements in _elements(card)]
    return found or [_section("…")]


def chosen(card: Card) -> Sequence[CardPicture]:
    """Return the pictures to show: the grid of a job, or one small picture for each line of a list."""
    stored = [each for each in card.pictures if each.blob]
    several = card.kind == "text" and len(stored) > 1
    return stored[:MOST_THUMBNAILS] if several else stored[:1]


def _is_list(card: Card, shown: Sequence[Any]) -> bool:
    return card.kind == "text" and len(card.body) > 1 and len(shown) > 0 and len(shown) <= len(card.body)


def with_share(card: Card) -> Card:
    """Add a button that shows a result elsewhere to a card that only one person sees."""
    if not (card.private and card.job):
        return card
    placed = [each for each in ACTIONS if each.answers == "place" and card.kind in each.on]
    more = tuple(button_of(each.name, card.job) for each in placed)
    own = speech.translated(Card(kind="text", more=more), card.language)
    return replace(card, more=(*card.more, *own.more))


# ---- parts


def _title(card: Card, asker: str) -> Block:
    """Build a title on one line, exactly as typed: Slack reads no markup or mentions in rich text's texts.

    Before it stands whom it is for: a mention, or only a name.
    """
    words = clip(" ".join(card.title.split()), MAX_SECTION)
    parts: list[Block] = [{"type": "text", "text": words, "style": {"bold": True}}] if words else []
    if card.asker and card.mentions and asker:
        parts = [{"type": "user", "user_id": asker}, {"type": "text", "text": " "}, *parts]
    elif card.asker:
        parts = [{"type": "text", "text": f"@{card.asker} "}, *parts]
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": parts}]}


def _section(text: str, accessory: Block | None = None) -> Block:
    block: Block = {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}
    return block | ({"accessory": accessory} if accessory else {})


def _sections(lines: Sequence[str]) -> list[Block]:
    """Put the lines in as few sections as hold them; what is too much ends in an ellipsis."""
    texts: list[str] = []
    for line in lines:
        shown = _fitting(line, MAX_SECTION)
        if texts and len(texts[-1]) + 1 + len(shown) <= MAX_SECTION:
            texts[-1] += f"\n{shown}"
        else:
            texts.append(shown)
    if len(texts) > MAX_BODY:
        texts = [*texts[:MAX_BODY], "…"]
    return [_section(text) for text in texts if text]


def _context(text: str) -> Block:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text, "verbatim": True}]}


def _image(picture: CardPicture, file: str) -> Block:
    alt = picture.alt if len(picture.alt) <= MAX_ALT else picture.alt[: MAX_ALT - 1] + "…"
    return {"type": "image", "slack_file": {"id": file}, "alt_text": alt or "picture"}


def _elements(card: Card) -> list[list[Block]]:
    """Build the rows' buttons, with overflow menus (⋯) of at most five entries for the card's other actions.

    Where one is too short, the pictures' entries get their own, beside the pictures' buttons.
    """
    rows = [[button(each) for each in row[:MOST_BUTTONS]] for row in card.rows if row] or [[]]
    whole = card.more if len(card.more) <= MOST_ENTRIES else of_whole(card.more)
    pictured = [each for each in card.more if each not in whole]
    for entries, row in ((pictured, rows[-2] if len(rows) > 1 else rows[-1]), (whole, rows[-1])):
        for start in range(0, len(entries), MOST_ENTRIES):
            row.append(_overflow(card.job, len(row), entries[start : start + MOST_ENTRIES]))
    return [row for row in rows if row]


def _overflow(job: str, place: int, entries: Sequence[Button]) -> Block:
    options = [{"text": _label(each), "value": each.id} for each in entries]
    return {"type": "overflow", "action_id": f"{Action(name='more', job=job).id}:{place}", "options": options}


def _label(each: Button) -> Block:
    label = f"{each.icon} {each.label}" if each.icon else each.label
    return {"type": "plain_text", "text": label[:MAX_LABEL], "emoji": True}


def button(each: Button) -> Block:
    """Build a button; its id is the action's."""
    shown: Block = {
        "type": "button",
        "action_id": each.id,
        "text": _label(each),
        "accessibility_label": each.name[:MAX_LABEL],
    }
    return shown | ({"style": _STYLES[each.style]} if each.style in _STYLES else {})


# ---- words


def summary(card: Card) -> str:
    """Return the text that notifications and screen readers get of a message."""
    asker = f"@{card.asker}" if card.asker else ""
    parts = [asker, clip(card.title, 300), *card.facts[:2], *(clip(line, 300) for line in card.body[:2])]
    return escape(" · ".join(part for part in parts if part)) or "Easel"


def _facts(card: Card) -> str:
    shown = [_bar(card.bar)] if card.bar else []
    return _fitting(" · ".join([*shown, *card.facts]), MAX_SECTION)


def _bar(bar: Bar) -> str:
    full = round(bar.done * 8)
    return f"{'▰' * full}{'▱' * (8 - full)} {bar.label}"


_MARKS = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_COMMAND = re.compile(rf"(?<![\w/])/({'|'.join(sorted(commands.NAMES, key=len, reverse=True))})\b")


def escape(words: str) -> str:
    """Escape text so that Slack finds no mention, link or markup; write commands as Slack takes them.

    https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    return marks.drawn(words, _drawn, _escaped)


def _escaped(words: str) -> str:
    return _COMMAND.sub(_here, words).translate(_MARKS)


_PERSON = re.compile(r"slack:\w+:(U\w+|W\w+)", re.ASCII)
_ID = {"role": re.compile(r"S[A-Z0-9]{4,}"), "channel": re.compile(r"[CG][A-Z0-9]{4,}")}


def _drawn(mark: marks.NameMark) -> str:
    """Draw a mark; a person or user group is mentioned, which in what one person alone sees pings nobody."""
    match mark.kind:
        case "time":
            words = mark.words.translate(_MARKS)
            return f"<!date^{mark.id}^{{date_short_pretty}} {{time}}|{words}>"
        case "person" if found := _PERSON.fullmatch(mark.id):
            return f"<@{found[1]}>"
        case "role" if _ID["role"].fullmatch(mark.id):
            return f"<!subteam^{mark.id}>"
        case "channel" if _ID["channel"].fullmatch(mark.id):
            return f"<#{mark.id}>"
    return _escaped(mark.words)


def _here(match: re.Match[str]) -> str:
    return match[0] if match[0] == IMAGINE else f"{EASEL} {match[1]}"


def _fitting(words: str, room: int) -> str:
    """Escape the words, and clip them before that to fit `room`, so that no escape is cut in two."""
    shown = escape(words)
    while len(shown) > room:
        words = clip(words, max(1, len(words) * room // len(shown) - 1))
        shown = escape(words)
    return shown


# ---- what a message holds


def ids(blocks: object) -> Iterator[str]:
    """Yield the ids of the buttons in a message's blocks, as Slack sends them back."""
    if isinstance(blocks, Mapping):
        if isinstance(id := blocks.get("action_id"), str):
            yield id
        yield from (option["value"] for option in blocks.get("options", ()) if "value" in option)
        blocks = [blocks.get("elements", ()), blocks.get("accessory", ())]
    if isinstance(blocks, Sequence) and not isinstance(blocks, str):
        for each in blocks:
            yield from ids(each)


def job_of(message: Mapping[str, Any]) -> str:
    """Return the first job that a message's buttons belong to, or an empty text."""
    return next(iter(jobs_of(message)), "")


def jobs_of(message: Mapping[str, Any]) -> dict[str, None]:
    """Return the jobs that a message's buttons belong to, in their order."""
    found: dict[str, None] = {}
    for id in ids(message.get("blocks", ())):
        found[job_in(id)] = None
    found.pop("", None)  # what is not of a job
    return found
