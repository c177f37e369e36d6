"""What is said of the sizes of a pack before they are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bot.i18n import _, join, listing, ngettext
from bot.prompts.draft import Draft


def note(
    said: Draft, draft: Draft, unlettered: Sequence[str], cost: Callable[[], float], *, as_it_is: bool
) -> str:
    """Say what the sizes cost, and what does not go together with them."""
    if not draft.pack:
        return ""
    lines = []
    if as_it_is:
        lines.append(_("The sizes are made of the finished image, for free."))
    elif draft.extend:
        seconds = max(1, round(cost()))
        lines.append(
            ngettext(
                "Painting around the image costs about {count} GPU second; the sizes are free.",
                "Painting around the image costs about {count} GPU seconds; the sizes are free.",
                seconds,
            )
        )
    else:
        lines.append(_("One image is painted; the sizes are made of it for free."))
    shaped = said.aspect or said.size
    if shaped and as_it_is:
        lines.append(_("A size pack has its own aspect ratios, so yours was left out."))
    elif shaped:
        lines.append(_("Your aspect ratio is that of the image itself; the sizes have their own."))
    if (said.count or 1) > 1:
        lines.append(_("A size pack is made of one image."))
    if unlettered:
        lines.append(
            _("The words do not fit on {sizes}, made without them.", sizes=listing(list(unlettered)))
        )
    return join(" ", lines)
