"""Which of several images that somebody sent is meant: asked by buttons, and kept until one is pressed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from bot.actions import Action
from bot.errors import Refusal
from bot.i18n import _
from bot.messages.job_cards import button, rows_of
from bot.messages.types import Card
from bot.models import Member, new_id
from bot.options import clip

P = TypeVar("P")

MOST_ASKED = 10  # images of one message
MOST_KEPT = 200  # questions that may still be answered


@dataclass(frozen=True, slots=True)
class Sent(Generic[P]):
    """Images that somebody sent, and what to do with the one that is meant."""

    owner: str  # the member's id
    pictures: tuple[P, ...]
    words: str = ""  # to paint from it by; empty: a form asks for them


class SentPictures(Generic[P]):
    """The questions that are open. They are gone after a restart: nothing was accepted yet."""

    def __init__(self) -> None:
        self._asked: OrderedDict[str, Sent[P]] = OrderedDict()

    def ask(self, sent: Sent[P], names: Sequence[str]) -> Card:
        """Keep what was sent, and return the question which of it is meant."""
        key = new_id()
        self._asked[key] = sent
        while len(self._asked) > MOST_KEPT:
            self._asked.popitem(last=False)
        action = "which" if sent.words else "which_form"
        buttons = [
            button(action, f"{key}_{number}", label=clip(f"{number}. {name}", 30), name=f"{number}. {name}")
            for number, name in enumerate(names[:MOST_ASKED], start=1)
        ]
        line = _("You sent {count} images. Which one is meant?", count=len(sent.pictures))
        return Card(kind="text", body=(line,), rows=rows_of(buttons))

    def words(self, action: Action) -> str:
        """Return the words that came with the images; empty where they are gone."""
        sent = self._asked.get(action.job.partition("_")[0])
        return sent.words if sent else ""

    def picture(self, action: Action) -> P | None:
        """Return the image that was chosen, whoever chose it; None where it is gone."""
        key, _sep, number = action.job.partition("_")
        sent, at = self._asked.get(key), int(number or 0) - 1
        return sent.pictures[at] if sent and 0 <= at < len(sent.pictures) else None

    def chosen(self, action: Action, member: Member) -> tuple[Sent[P], P]:
        """Return what was sent and the image that was chosen of it. Raises Refusal."""
        sent, picture = self._asked.get(action.job.partition("_")[0]), self.picture(action)
        if sent is None or picture is None:
            raise Refusal(_("That question is too old. Send the images again."), code="expired")
        if sent.owner != member.id:
            raise Refusal(_("Only who sent the images can choose one of them."), code="forbidden")
        return sent, picture
