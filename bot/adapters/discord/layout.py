"""A card as Discord shows it: a container of text, a gallery and rows of buttons, with its files.

https://discord.com/developers/docs/components/reference
"""

from __future__ import annotations

import io
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import discord
from discord import ui

from bot.i18n import _, join
from bot.i18n.speech import say
from bot.messages import marks
from bot.messages.job_cards import rows_with_more
from bot.messages.types import Bar, Button, Card, CardPicture
from bot.options import clip

MAX_TEXT = 4000  # characters of all text displays of a message
MAX_ALT = 1024
MAX_FILES = 10
MOST_SINGLE = 4  # pictures that a gallery shows well side by side
MAX_LABEL = 80
REQUEST_BYTES = 24 * 2**20  # of all files together; a request may have 25 MiB
LEAST_LIMIT = 10 * 2**20  # bytes a file may have where Discord did not say more

_STYLES = {
    "plain": discord.ButtonStyle.secondary,
    "primary": discord.ButtonStyle.primary,
    "danger": discord.ButtonStyle.danger,
}
_COMPRESSED = _("Compressed to fit Discord; the original is kept as it is.")
_PICTURE_TOO_LARGE = _("The image is too large for Discord here, even when compressed.")
_FILE_TOO_LARGE = _("The file is too large for Discord here.")
_TOO_MANY_FILES = _("Not all of the files fit into one message on Discord.")
_IN_STUDIO = _("Get it in the web studio: /studio opens it.")
_FROM_OPERATOR = _("Whoever runs this Easel can hand it to you.")

Fitted = Callable[..., Awaitable[tuple[bytes, str]]]
"""A stored picture by its name in at most so many bytes, and its media type; raises KeyError, ValueError."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A card ready to be sent, as often as it takes."""

    card: Card
    files: tuple[tuple[str, bytes, str], ...]  # name, content, alternative text
    note: str = ""
    parent: str = ""  # the address of the message that it was made from
    mention: str = ""  # of whoever it is for, as Discord reads it

    def message(self) -> tuple[ui.LayoutView, list[discord.File]]:
        """Return a view and files for one request: they cannot be sent twice."""
        files = [discord.File(io.BytesIO(data), name, description=alt) for name, data, alt in self.files]
        files += [discord.File(io.BytesIO(data), name) for name, data in self.card.files]
        return view(self.card, self.files, self.note, self.parent, self.mention), files


async def show(
    card: Card,
    fitted: Fitted,
    limit: int = LEAST_LIMIT,
    parent: str = "",
    *,
    studio: bool = False,
    mention: str = "",
) -> Shown:
    """Render the card with its pictures in files of at most `limit` bytes each, and a link to its parent.

    `mention` stands before the title. `studio`: people can open the web studio from where they are.
    """
    instead = _IN_STUDIO if studio else _FROM_OPERATOR
    chosen = _chosen(card)
    most = min(limit, REQUEST_BYTES // max(1, len(chosen)))
    files, note = [], ""
    for number, picture in enumerate(chosen, start=1):
        try:
            data, kind = await _content(picture, fitted, most)
        except KeyError:
            note = _("An image of this job is gone.")
        except ValueError:
            note = join(" ", (_PICTURE_TOO_LARGE, instead))
        else:
            name = (card.job and picture.name) or f"{card.job or 'easel'}-{number}"
            cover = "SPOILER_" if card.spoiler else ""
            files.append((f"{cover}{name}.{kind.removeprefix('image/')}", data, _alt(picture)))
            if card.job and kind == "image/webp" and picture.blob:
                note = join(" ", (_COMPRESSED, instead))
    fitting = tuple(_fitting_files(card.files, limit))
    if len(fitting) < len(card.files):
        note = join(" ", (_TOO_MANY_FILES if len(card.files) > 1 else _FILE_TOO_LARGE, instead))
    return Shown(replace(card, files=fitting), tuple(files), say(note, card.language), parent, mention)


def _fitting_files(files: Sequence[tuple[str, bytes]], limit: int) -> Iterator[tuple[str, bytes]]:
    """Yield the files that one message takes."""
    left, room = MAX_FILES, REQUEST_BYTES
    for name, data in files:
        if len(data) <= min(limit, room) and left:
            left, room = left - 1, room - len(data)
            yield name, data


def _chosen(card: Card) -> Sequence[CardPicture]:
    """Return up to four single pictures of a job, laid out by the gallery; of a job with more, the grid.

    The sizes of a pack are files of their own, however many.
    """
    if card.job and len(card.pictures) > 1:
        grid, *single = card.pictures
        apart = any(each.size for each in single) and len(single) <= MAX_FILES
        return single if apart or len(single) <= MOST_SINGLE else [grid]
    return card.pictures[:MAX_FILES]


async def _content(picture: CardPicture, fitted: Fitted, limit: int) -> tuple[bytes, str]:
    if picture.preview:
        return picture.preview, "image/webp"
    if size := picture.size:
        return await fitted(picture.blob, min(limit, size.limit or limit), f"image/{size.format}")
    return await fitted(picture.blob, limit)


def _alt(picture: CardPicture) -> str:
    return picture.alt if len(picture.alt) <= MAX_ALT else picture.alt[: MAX_ALT - 1] + "…"


def view(
    card: Card,
    files: Sequence[tuple[str, bytes, str]] = (),
    note: str = "",
    parent: str = "",
    mention: str = "",
) -> ui.LayoutView:
    """Build the layout of a card; its gallery shows `files`. It is stopped: presses are found by id alone."""
    listed, card = _listed(card, files)
    items: list[ui.Item[Any]] = [ui.TextDisplay(text(card, note, parent, mention)), *listed]
    if files and not listed:
        gallery = (
            discord.MediaGalleryItem(f"attachment://{name}", description=alt, spoiler=card.spoiler)
            for name, _, alt in files
        )
        items.append(ui.MediaGallery(*gallery))
    items += [ui.File(f"attachment://{name}") for name, _ in card.files]
    items += [ui.ActionRow(*map(_button, row)) for row in rows_with_more(card) if row]
    made = ui.LayoutView(timeout=None)
    made.add_item(ui.Container(*items))
    made.stop()
    return made


def _listed(card: Card, files: Sequence[tuple[str, bytes, str]]) -> tuple[list[ui.Item[Any]], Card]:
    """Return the lines that have a picture beside them, and the card without these lines."""
    if not card.listed or len(files) > len(card.body) or len(files) < len(card.pictures):
        return [], card
    lines = zip(card.body, files, strict=False)
    found: list[ui.Item[Any]] = [
        ui.Section(
            ui.TextDisplay(escape(line)),
            accessory=ui.Thumbnail(f"attachment://{name}", description=alt, spoiler=card.spoiler),
        )
        for line, (name, _, alt) in lines
    ]
    return found, replace(card, body=card.body[len(files) :])


def moment(language: str) -> ui.LayoutView:
    """Build a placeholder that says "One moment.", for a response that is deleted right after."""
    return view(Card(kind="text", body=(say(_("One moment."), language),)))


def _button(button: Button) -> ui.Button[Any]:
    return ui.Button(
        label=button.label[:MAX_LABEL],
        custom_id=button.id,
        emoji=button.icon or None,
        style=_STYLES[button.style],
    )


def text(card: Card, note: str = "", parent: str = "", mention: str = "") -> str:
    """Return all text of a card as Markdown, shortened to what one message takes.

    Whom it mentions and its title come first.
    """
    facts = " · ".join((*((_bar(card.bar),) if card.bar else ()), *_facts(card, parent)))
    rest = _clipped(
        [facts, card.link, *map(escape, card.body), escape(note)],
        MAX_TEXT // 2 if card.title or mention else MAX_TEXT,
    )
    room = MAX_TEXT - len(rest) - len(f"{mention} ****\n")
    title = f"**{_fitting(card.title, room)}**" if card.title else ""
    head = " ".join(part for part in (mention, title) if part)
    return "\n".join(part for part in (head, rest) if part) or "…"


def _facts(card: Card, parent: str) -> list[str]:
    """Return the facts and a link to the parent, which replaces an enlarged picture's last fact."""
    facts = [escape(fact) for fact in card.facts]
    if not parent:
        return facts
    words = facts.pop() if card.kind == "upscaled" else say(_("from an earlier image"), card.language)
    return [*facts, f"[{words}]({parent})"]


def _clipped(lines: list[str], room: int) -> str:
    """Join the lines in at most `room` characters; what is cut ends in an ellipsis."""
    whole = "\n".join(line for line in lines if line)
    return whole if len(whole) <= room else whole[: room - 1].rstrip("\\") + "…"


def _fitting(words: str, room: int) -> str:
    """Escape the words, and clip them before that to fit `room`, so that no escape is cut in two."""
    escaped = escape(words)
    while len(escaped) > room:
        words = clip(words, max(1, len(words) * room // len(escaped) - 1))
        escaped = escape(words)
    return escaped


def _bar(bar: Bar) -> str:
    full = round(bar.done * 8)
    return f"{'▰' * full}{'▱' * (8 - full)} {escape(bar.label)}"


_MARKS = re.compile(
    r"([\\`*_~|<>\[\]@])|(?<=[a-z])(:)(?=//)|^([^\S\n]*)([-+#])", re.IGNORECASE | re.MULTILINE
)


def escape(words: str) -> str:
    """Escape text so that Discord shows it as it was typed: no Markdown, no mention, no link.

    Easel's own marks become mentions and times; they ping nobody, since no message of Easel's may.
    """
    return marks.drawn(words, _drawn, lambda others: _MARKS.sub(_escaped, others))


_DRAWN = {"person": "<@{}>", "role": "<@&{}>", "channel": "<#{}>", "time": "<t:{}:f>"}


def _drawn(mark: marks.NameMark) -> str:
    id = mark.id.removeprefix("discord:") if mark.kind == "person" else mark.id
    return _DRAWN[mark.kind].format(id) if id.isdecimal() else _MARKS.sub(_escaped, mark.words)


def _escaped(match: re.Match[str]) -> str:
    mark = match[1] or match[2]
    return f"\\{mark}" if mark else f"{match[3]}\\{match[4]}"
