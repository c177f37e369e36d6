"""Paint for the command line in a running Easel: ask, start, look and cancel are an order each."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bot.actions import Action
from bot.adapters.base import Answer, MessageRef, Receipt
from bot.easel import Easel
from bot.errors import Refusal
from bot.messages.types import Card
from bot.models import Job, Origin, State

ORDERS = ("imagine", "start", "look", "cancel")


class Terminals:
    """The surface of jobs that a command line looks at: nothing is sent to it. Implements ChatAdapter."""

    name = "cli"
    edit_interval = 5.0  # seconds

    async def run(self) -> None:
        """Return at once: orders come by the admin socket."""

    async def post(self, job: Job, card: Card) -> MessageRef:
        return {}

    async def edit(self, job: Job, ref: MessageRef, card: Card) -> MessageRef:
        return ref

    async def adult(self, job: Job) -> bool:
        """Return False: the age of the person at a terminal is not known."""
        return False


async def obey(easel: Easel, command: str, options: Mapping[str, Any], origin: Origin) -> dict[str, Any]:
    """Do one of the orders. Raises Refusal.

    To ask and to start return the jobs, or the question that comes before a series of them, with the button
    that starts it; to look and to cancel return how a job stands.
    """
    match command:
        case "imagine":
            return _accepted(await easel.router.handle("imagine", _with_files(options), origin))
        case "start":
            return _accepted(await easel.router.press(str(options["button"]), origin))
        case "cancel":
            with suppress(Refusal):  # it has just ended
                await easel.router.press(Action(name="cancel", job=str(options["job"])).id, origin)
    return await _standing(easel, await easel.visibility.job(str(options["job"]), origin.member))


def _accepted(answer: Answer) -> dict[str, Any]:
    if isinstance(answer, Card):
        start = answer.rows[0][0]
        return {"question": answer.body, "button": start.id, "label": start.label}
    assert isinstance(answer, Receipt)
    return {"jobs": [job.id for job in (answer.job, *answer.others)]}


def packed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options as JSON values: pictures that are bytes as text."""
    sent = {name: value for name, value in options.items() if isinstance(value, bytes)}
    found = {name: value for name, value in options.items() if name not in sent and name != "files"}
    if sent:
        found["sent"] = {name: base64.b64encode(value).decode() for name, value in sent.items()}
    if files := options.get("files"):
        found["files"] = {
            name: [base64.b64encode(each).decode() for each in some] for name, some in files.items()
        }
    return found


def _with_files(options: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(options)
    sent, files = found.pop("sent", {}), found.pop("files", None)
    found |= {name: base64.b64decode(value) for name, value in sent.items()}
    if files:
        found["files"] = {name: [base64.b64decode(each) for each in some] for name, some in files.items()}
    return found


async def _standing(easel: Easel, job: Job) -> dict[str, Any]:
    """Return the job as JSON values; with its pictures, once it has any to show."""
    card = easel.cards.present(job)
    pictures = job.singles if job.state is State.RENDERED else ()
    files = [await easel.files.delivered(job, each) for each in pictures]
    return {
        "job": job.id,
        "state": job.state.value,
        "ended": job.state.ended,
        "done": card.bar.done if card.bar else 0.0,
        "words": " · ".join((*((card.bar.label,) if card.bar else ()), *card.facts)),
        "seed": job.request.seed,
        "seconds": round(job.seconds, 3),
        "device_seconds": round(job.device_seconds, 3),
        "reason": job.reason,
        "pictures": [[Path(name).suffix, base64.b64encode(data).decode()] for name, data in files],
    }
