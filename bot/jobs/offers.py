"""What a refusal offers is tried before it is shown, so that pressing it works.

A text that is too long for a button's id is stored, and the id names it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from bot.actions import Action, fits
from bot.errors import Offer, Refusal, StoreError
from bot.i18n import _, join

MOST_STEPS = 20  # refusals that are followed for one offer

Attempt = Callable[[str], Awaitable[object]]
"""Checks that a text would be accepted. Raises Refusal."""


@dataclass(slots=True)
class _Way:
    """What following one offer after another has found."""

    text: str  # the command text that would be accepted; empty: none
    notices: list[str] = field(default_factory=list)  # of the refusals on the way


async def mended(refusal: Refusal, attempt: Attempt) -> Refusal:
    """Return the refusal with all that is wrong, and with offers that put all of it right.

    An offer may be refused as well, for another reason; then its first offer is tried, and so on. An offer
    that leads to no accepted text is left out.
    """
    ways = [(offer, await _followed(offer.text, attempt)) for offer in refusal.offers if offer.text]
    notices = dict.fromkeys([refusal.notice, *(ways[0][1].notices if ways else ())])
    offers = [
        Offer(_("Change all of that") if way.notices else offer.label, way.text)
        for offer, way in ways
        if way.text
    ]
    return Refusal(join(" ", notices), code=refusal.code, offers=tuple(dict.fromkeys(offers)))


async def _followed(text: str, attempt: Attempt) -> _Way:
    way = _Way("")
    for _step in range(MOST_STEPS):
        try:
            await attempt(text)
        except Refusal as refusal:
            way.notices.append(refusal.notice)
            if not refusal.offers:
                return way
            text = refusal.offers[0].text
        else:
            way.text = text
            return way
    return way


Keep = Callable[[str], Awaitable[str]]
"""Keeps a text and returns its key. Raises StoreError."""


async def kept(refusal: Refusal, keep: Keep) -> Refusal:
    """Return the refusal, with a button for each offer; where nothing can be kept, long texts have none."""
    offers = [await pressable(each, keep) for each in refusal.offers]
    return Refusal(refusal.notice, code=refusal.code, offers=tuple(offers))


async def pressable(offer: Offer, keep: Keep) -> Offer:
    """Return the offer with a button's id, where its text needs one and can be kept."""
    if offer.button or fits(Action(name="try", text=offer.text).id):
        return offer
    try:
        return replace(offer, button=Action(name="offer", job=await keep(offer.text)).id)
    except StoreError:
        return offer


def press_of(offer: Offer) -> str:
    """Return the id of an offer's button, which may be longer than platforms take."""
    return offer.button or Action(name="try", text=offer.text).id
