"""The command line as a surface: one job, a progress bar on a terminal, and files at its end."""

from __future__ import annotations

import asyncio
import getpass
import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from bot import app, doctor, telemetry
from bot.actions import Action
from bot.adapters.base import Answer, MessageRef, Receipt
from bot.admin import admin_socket
from bot.easel import Easel
from bot.errors import EaselError, Refusal
from bot.messages.answers import meter
from bot.messages.types import Card
from bot.models import Job, Member, Origin, Original, State
from bot.provenance import keys
from bot.provenance.verdict import verify as verified
from bot.store import original_at
from bot.surfaces import Settings

PLACE = "cli:local"


class CommandLine:
    """Shows the one job that was asked for on standard error. Implements ChatAdapter."""

    name = "cli"
    edit_interval = 0.1  # seconds

    def __init__(self, console: Console) -> None:
        self._ends: dict[str, Job] = {}
        self._ended = asyncio.Event()
        columns = (BarColumn(24), TextColumn("{task.description}", markup=False))
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}

    async def run(self) -> None:
        """Return at once: nothing comes in but the one command."""

    async def post(self, job: Job, card: Card) -> MessageRef:
        self._show(job, card)
        return {}

    async def edit(self, job: Job, ref: MessageRef, card: Card) -> MessageRef:
        self._show(job, card)
        return ref

    async def adult(self, job: Job) -> bool:
        """Return False: the age of the person at a terminal is not known."""
        return False

    async def end_of(self, id: str, stopped: asyncio.Event) -> Job | None:
        """Show the job's progress until it ends and return it; return None when `stopped` comes first."""
        stop = asyncio.create_task(stopped.wait())
        with self._progress:
            self._tasks[id] = self._progress.add_task("in queue", total=1.0)
            while id not in self._ends and not stopped.is_set():
                ended = asyncio.create_task(self._ended.wait())
                await asyncio.wait({ended, stop}, return_when=asyncio.FIRST_COMPLETED)
                ended.cancel()
                self._ended.clear()
        stop.cancel()
        return self._ends.get(id)

    def _show(self, job: Job, card: Card) -> None:
        task = self._tasks.get(job.id)
        if task is not None:  # the first one is 0
            words = (card.bar.label,) if card.bar else ()
            done = card.bar.done if card.bar else 0.0
            self._progress.update(task, completed=done, description=" · ".join((*words, *card.facts)))
        if job.state.ended:
            self._ends[job.id] = job
            self._ended.set()


async def imagine(
    settings: Settings, options: Mapping[str, Any], *, out: Path, as_json: bool, yes: bool = False
) -> int:
    """Paint, write the pictures to `out`, say where they are. Returns the exit code. Raises EaselError.

    `yes`: a series of jobs is started without asking.
    """
    quiet = settings if settings.log_level == "debug" else settings.model_copy(update={"log_level": "error"})
    telemetry.set_up(quiet)
    _make_folder(out)
    await doctor.refuse_to_start(quiet)
    surface = CommandLine(Console(stderr=True))
    async with app.opened(settings) as easel, app.stop_signal(easel.guard.failed) as stopped:
        easel.adapters[surface.name] = surface
        await easel.lifecycle.start()
        origin = _origin()
        try:
            answer: Answer = await easel.router.handle("imagine", _with_source(options), origin)
            if isinstance(answer, Card):
                if not (yes or await asyncio.to_thread(_agrees, answer)):
                    return _complain("Nothing was started. Add --yes to start them without being asked.")
                start = answer.rows[0][0].id
                answer = await easel.router.press(start, replace(origin, event=secrets.token_hex(8)))
            assert isinstance(answer, Receipt)
            asked = [answer.job, *answer.others]
            jobs = [await _ended(easel, surface, job, origin, stopped) for job in asked]
        except Refusal as refusal:
            return _complain(refusal.notice)
        files = [await _written(easel, job, out) for job in jobs]
    for job, written in zip(jobs, files, strict=True):
        _report(job, written, as_json)
    failed = next((job for job in jobs if job.state is not State.RENDERED), None)
    return _complain(failed.reason or "Cancelled, nothing charged.") if failed else 0


def _agrees(question: Card) -> bool:
    """Ask at the terminal; False where there is nobody to ask."""
    sys.stderr.writelines(f"{line}\n" for line in question.body)
    if not sys.stdin.isatty():
        return False
    sys.stderr.write(f"{question.rows[0][0].label}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().casefold() in ("y", "yes")


async def _ended(easel: Easel, surface: CommandLine, job: Job, origin: Origin, stopped: asyncio.Event) -> Job:
    """Return a job once it has ended; cancel it when somebody stops."""
    if ended := await surface.end_of(job.id, stopped):
        return ended
    with suppress(Refusal):  # it has ended just now
        cancel = Action(name="cancel", job=job.id).id
        await easel.router.press(cancel, replace(origin, event=secrets.token_hex(8)))
    return await easel.visibility.job(job.id, origin.member)


async def administer(
    settings: Settings, command: str, options: Mapping[str, Any], *, tenant: str, out: Path
) -> int:
    """Do an administrator's command. Returns the exit code. Raises EaselError."""
    order = admin_socket.Order(command=command, options=options, tenant=tenant, name=_user())
    return await _obeyed(settings, order, out)


async def quota(settings: Settings) -> int:
    """Say what the person at the terminal used and may use. Returns the exit code. Raises EaselError."""
    order = admin_socket.Order(command="quota", options={}, tenant=PLACE, name=_user())
    return await _obeyed(settings, order, Path())


async def verify(settings: Settings, files: Sequence[Path], *, as_json: bool) -> int:
    """Say of each file whether this Easel made it. Returns 1 where one could not be read. Raises EaselError.

    Neither locks nor changes anything, so it works while Easel runs.
    """
    found = keys.found(settings.keys_dir, settings.signing_certificate, settings.signing_key)
    if found is None:
        raise EaselError(f"{settings.keys_dir} holds no keys: set DATA_DIR to that of the Easel to ask.")

    async def lookup(job: str, look: str) -> Original | None:
        with suppress(KeyError):  # there is no database: the file alone tells
            return await asyncio.to_thread(original_at, settings.database_url, job, look)
        return None

    code, told = 0, []
    for file in files:
        try:
            data = await asyncio.to_thread(file.read_bytes)
            verdict = await verified(data, found, lookup, max_bytes=settings.max_source_bytes)
        except (OSError, Refusal) as error:
            code = _complain(f"{file}: {error.strerror if isinstance(error, OSError) else error}")
            continue
        told.append({"file": str(file), **asdict(verdict), "made": verdict.made and verdict.made.isoformat()})
        if not as_json:
            job = f"Job: {verdict.job}" if verdict.job else ""
            sys.stdout.write(f"{file}: {' '.join((verdict.sentence, *verdict.facts, job)).strip()}\n")
    if as_json:
        sys.stdout.write(json.dumps(told) + "\n")
    return code


async def _obeyed(settings: Settings, order: admin_socket.Order, out: Path) -> int:
    """Run an administrator's command in the Easel that runs, or else in this process; print its answer."""
    try:
        card = await admin_socket.ask(settings.data_dir, order) or await _alone(settings, order)
    except Refusal as refusal:
        return _complain(refusal.notice)
    _say(card)
    for name, data in card.files:
        _make_folder(out)
        await asyncio.to_thread(_write, out / name, data)
        sys.stdout.write(f"{out / name}\n")
    return 0


async def _alone(settings: Settings, order: admin_socket.Order) -> Card:
    telemetry.set_up(settings.model_copy(update={"log_level": "error"}))
    async with app.opened(settings) as easel:
        await easel.lifecycle.load()
        return await admin_socket.obey(easel, order)


def _say(card: Card) -> None:
    bar = [f"{meter(card.bar.done)} {card.bar.label}"] if card.bar else []
    lines = (card.title, " · ".join((*bar, *card.facts)), card.link, *card.body)
    sys.stdout.writelines(f"{line}\n" for line in lines if line)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run a user that has no name
        return "someone"


def _origin() -> Origin:
    user = _user()
    member = Member(tenant=PLACE, id=f"cli:{user}", name=user, admin=True)
    return Origin(surface="cli", member=member, channel="terminal", event=secrets.token_hex(8))


def _with_source(options: Mapping[str, Any]) -> dict[str, Any]:
    """Replace a source that is a file by its bytes; any other may name a stored picture."""
    source = options.get("source")
    if not source or not Path(source).is_file():
        return dict(options)
    try:
        return {**options, "source": Path(source).read_bytes()}
    except OSError as error:
        raise EaselError(f"{source} cannot be read ({error.strerror}): choose another file.") from error


async def _written(easel: Easel, job: Job, out: Path) -> list[Path]:
    files = []
    for each in job.singles if job.state is State.RENDERED else ():
        path = out / f"{job.id}-{each.index + 1}.png"
        await asyncio.to_thread(_write, path, await easel.images.get(each.blob))
        files.append(path)
    return files


def _make_folder(out: Path) -> None:
    """Create the output folder before painting, so that no picture is paid for that cannot be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EaselError(f"{out} cannot be made ({error.strerror}): choose another --out folder.") from error


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise EaselError(
            f"{path} cannot be written ({error.strerror}): choose another --out folder."
        ) from error


def _report(job: Job, files: list[Path], as_json: bool) -> None:
    if not as_json:
        sys.stdout.writelines(f"{file}\n" for file in files)
        return
    said = {
        "job": job.id,
        "state": job.state.value,
        "pictures": [str(file) for file in files],
        "seed": job.request.seed,
        "seconds": round(job.seconds, 3),
        "device_seconds": round(job.device_seconds, 3),
    }
    sys.stdout.write(json.dumps(said) + "\n")


def _complain(sentence: str) -> int:
    sys.stderr.write(f"{sentence}\n")
    return 1
