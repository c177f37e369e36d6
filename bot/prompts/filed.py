"""The format of the files that are handed over: how it is read, and what is said of it."""

from __future__ import annotations

from bot.errors import Refusal
from bot.i18n import _, join
from bot.images.file_formats import ALPHA, LOSSY, label
from bot.prompts.draft import Draft
from bot.prompts.rendering import offer
from engine.types import TRANSPARENT


def check(draft: Draft, said: Draft) -> None:
    """Raise Refusal for a quality of a format that has none."""
    format = draft.format or "png"
    if draft.quality is None or format in LOSSY:
        return
    raise Refusal(
        _(
            "{format} has no quality. Leave --quality out, or take JPEG, WebP, AVIF or PDF.",
            format=label(format),
        ),
        code="format",
        offers=(
            offer(_("Leave the quality out"), said, quality=None),
            offer(_("Take {format}", format=label("jpeg")), said, format="jpeg"),
        ),
    )


def note(draft: Draft) -> str:
    """Say what a format does not keep, and where it does not hold."""
    if not draft.format:
        return ""
    name, lines = label(draft.format), []
    if draft.pack:
        lines.append(
            _(
                "The sizes of a pack have their platforms' formats; {format} is that of the image itself.",
                format=name,
            )
        )
    if draft.background == TRANSPARENT and draft.format not in ALPHA:
        lines.append(_("{format} knows no transparency, so the image lies on white.", format=name))
    return join(" ", lines)
