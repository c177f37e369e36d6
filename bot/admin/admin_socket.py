"""Pass `python -m bot admin`, `quota` and `imagine` to a running Easel, by a Unix socket in the data folder.

The running process has the database for itself, so it does what the command line asks. A user who may write
into the data folder runs this Easel. One line of JSON each way:
`{"command", "options", "tenant", "name"}` → `{"card"}`, `{"job"}` or `{"refusal"}`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import secrets
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from bot import commands
from bot.admin import painting
from bot.easel import Easel
from bot.errors import EaselError, Refusal
from bot.messages.types import Bar, Card
from bot.models import Member, Origin

log = structlog.stdlib.get_logger(__name__)

MOST_BYTES = 400_000_000  # of an order or an answer, which may hold files
PATIENCE = 60.0  # seconds that an answer may take
EXAMINE = "examine"
"""The order of `doctor`: the answer's body says what is wrong, in English, and is empty when nothing is."""
LONGEST_PATH = 100  # bytes that every system takes for a socket


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A command from the command line: an administrator's, `quota`, or one of `painting`."""

    command: str
    options: Mapping[str, object]
    tenant: str
    name: str  # who sits there

    @property
    def origin(self) -> Origin:
        member = Member(tenant=self.tenant, id=f"cli:{self.name}", name=self.name, admin=True)
        return Origin(surface="cli", member=member, channel="terminal", event=secrets.token_hex(8))


async def obey(easel: Easel, order: Order) -> Card:
    """Run an operator's command and return its card. Raises Refusal for others and what is not possible."""
    if order.command == EXAMINE:
        return Card(kind="text", body=await easel.readiness.troubles())
    if order.command == "quota":
        return easel.speech.said(await easel.accounts.quota({}, order.origin), order.origin)
    if not commands.command(order.command).admin and order.command not in commands.ALSO:
        raise Refusal(f"/{order.command} is not an administrator's command.", code="unknown")
    card = await easel.admin.administer(order.command, order.options, order.origin)
    return easel.speech.said(card, order.origin)


# --- the running Easel ------------------------------------------------------------------------------------


@asynccontextmanager
async def listening(easel: Easel, folder: Path) -> AsyncIterator[None]:
    """Accept orders while the block runs. If there can be no socket, log that and go on."""
    try:
        path = _path(folder)
        server = await asyncio.start_unix_server(
            lambda r, w: _serve(easel, r, w), sock=_bound(path), limit=MOST_BYTES
        )
    except OSError as error:
        log.warning("the command line cannot reach this process: choose another DATA_DIR", cause=str(error))
        yield
        return
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


def _path(folder: Path) -> Path:
    """Return the socket's path by its shorter name: it may have about a hundred bytes. Raises OSError."""
    path = folder.resolve() / "control.sock"
    near = Path(os.path.relpath(path))
    shortest = min(path, near, key=lambda each: len(os.fsencode(each)))
    if len(os.fsencode(shortest)) > LONGEST_PATH:
        raise OSError(f"{shortest} is too long for a socket")
    return shortest


def _bound(path: Path) -> socket.socket:
    """Create the socket for this user alone. One that an earlier process left there is replaced."""
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        made.bind(str(path))
    finally:
        os.umask(mask)
    return made


async def _serve(easel: Easel, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
        writer.write(json.dumps(await _answer(easel, await reader.readline())).encode() + b"\n")
        await writer.drain()
    writer.close()


async def _answer(easel: Easel, line: bytes) -> dict[str, Any]:
    try:
        order = Order(**json.loads(line))
        if order.command in painting.ORDERS:
            return {"job": await painting.obey(easel, order.command, order.options, order.origin)}
        return {"card": _packed(await obey(easel, order))}
    except Refusal as refusal:
        return {"refusal": refusal.notice}
    except EaselError as error:
        return {"refusal": str(error)}
    except (TypeError, ValueError):
        return {"refusal": "This command line and the running Easel are of different versions."}
    except Exception:
        log.exception("an order of the command line failed")
        return {"refusal": "Easel could not do that; its log tells why."}


# --- the command line -------------------------------------------------------------------------------------


async def ask(folder: Path, order: Order) -> Card | None:
    """Return the running Easel's answer to an order; None when none runs. Raises Refusal, EaselError."""
    said = await _said(folder, order)
    return None if said is None else _unpacked(said["card"])


async def ask_job(folder: Path, order: Order) -> dict[str, Any] | None:
    """Return how a job stands after an order of `painting`; None when no Easel runs. Raises as `ask`."""
    said = await _said(folder, order)
    return None if said is None else dict(said["job"])


async def _said(folder: Path, order: Order) -> dict[str, Any] | None:
    try:
        reader, writer = await asyncio.open_unix_connection(str(_path(folder)), limit=MOST_BYTES)
    except OSError:
        return None
    try:
        asked = {"command": order.command, "options": painting.packed(order.options)}
        writer.write(json.dumps({**asked, "tenant": order.tenant, "name": order.name}).encode() + b"\n")
        said: dict[str, Any] = json.loads(await asyncio.wait_for(reader.readline(), PATIENCE))
    except (TimeoutError, OSError, ValueError) as error:
        raise EaselError("The running Easel does not answer: look at its log, then try again.") from error
    finally:
        writer.close()
    if "refusal" in said:
        raise Refusal(said["refusal"])
    return said


def _packed(card: Card) -> dict[str, Any]:
    """Convert the parts of a card that a terminal shows to JSON values."""
    return {
        "title": card.title,
        "facts": card.facts,
        "link": card.link,
        "body": card.body,
        "bar": [card.bar.done, card.bar.label] if card.bar else None,
        "files": [[name, base64.b64encode(data).decode()] for name, data in card.files],
    }


def _unpacked(said: dict[str, Any]) -> Card:
    return Card(
        kind="text",
        title=said["title"],
        facts=tuple(said["facts"]),
        link=said["link"],
        body=tuple(said["body"]),
        bar=Bar(done=said["bar"][0], label=said["bar"][1]) if said["bar"] else None,
        files=tuple((name, base64.b64decode(data)) for name, data in said["files"]),
    )
