"""The command line as a surface: one job, a progress bar on a terminal, and files at its end."""

from __future__ import annotations

import asyncio
import base64
import getpass
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from bot import app, doctor, telemetry
from bot.adapters.base import MessageRef
from bot.admin import admin_socket, painting
from bot.describing.describers import CaptionDescriber, DrawingDescriber
from bot.describing.service import NOTHING
from bot.errors import EaselError, Refusal
from bot.images.picture_process import Unanswered
from bot.images.pictures import open_source
from bot.messages.answers import meter
from bot.messages.types import Card
from bot.models import Job, Original, State
from bot.provenance import keys
from bot.provenance.verdict import verify as verified
from bot.store import original_at
from bot.surfaces import Settings

PLACE = "cli:local"
LOOK = 0.25  # seconds between two looks at a job that another process paints


class CommandLine:
    """Shows the one job that was asked for on standard error. Implements ChatAdapter."""

    name = "cli"
    edit_interval = 0.1  # seconds

    def __init__(self, console: Console) -> None:
        self._ends: dict[str, Job] = {}
        self._ended = asyncio.Event()
        self._progress = _bar(console)
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


def _bar(console: Console) -> Progress:
    columns = (BarColumn(24), TextColumn("{task.description}", markup=False))
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


async def imagine(
    settings: Settings, options: Mapping[str, Any], *, out: Path, as_json: bool, yes: bool = False
) -> int:
    """Paint, write the pictures to `out`, say where they are. Returns the exit code. Raises EaselError.

    An Easel that runs on this data folder paints; where none does, this process is one until the end.
    `yes`: a series of jobs is started without asking.
    """
    quiet = settings if settings.log_level == "debug" else settings.model_copy(update={"log_level": "error"})
    telemetry.set_up(quiet)
    _make_folder(out)
    given = _with_files(options)
    try:
        jobs = await _painted_there(settings.data_dir, given, yes)
        if jobs is None:
            jobs = await _painted_here(quiet, given, yes)
    except Refusal as refusal:
        return _complain(refusal.notice)
    for job in jobs:
        files = []
        for number, (ending, data) in enumerate(job["pictures"], 1):
            files.append(out / f"{job['job']}-{number}{ending}")
            await asyncio.to_thread(_write, files[-1], base64.b64decode(data))
        _report(job, files, as_json)
    failed = next((job for job in jobs if job["state"] != State.RENDERED.value), None)
    return _complain(failed["reason"] or "Cancelled, nothing charged.") if failed else 0


Send = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any] | None]]
"""Gives an order of `painting` to an Easel, which answers; None where none runs."""


async def _asked(send: Send, options: Mapping[str, Any], yes: bool) -> list[str] | None:
    """Return the jobs that were accepted; None where no Easel runs. Raises Refusal."""
    answer = await send("imagine", options)
    if answer and "question" in answer:
        if not (yes or await asyncio.to_thread(_agrees, answer)):
            raise Refusal("Nothing was started. Add --yes to start them without being asked.")
        answer = await send("start", {"button": answer["button"]})
    return None if answer is None else list(answer["jobs"])


def _agrees(asked: Mapping[str, Any]) -> bool:
    """Ask at the terminal; False where there is nobody to ask."""
    sys.stderr.writelines(f"{line}\n" for line in asked["question"])
    if not sys.stdin.isatty():
        return False
    sys.stderr.write(f"{asked['label']}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().casefold() in ("y", "yes")


async def _painted_there(folder: Path, options: Mapping[str, Any], yes: bool) -> list[dict[str, Any]] | None:
    """Return the ends of jobs that the running Easel painted; None where none runs. Raises Refusal."""

    async def send(command: str, options: Mapping[str, Any]) -> dict[str, Any] | None:
        return await admin_socket.ask_job(folder, _order(command, options))

    jobs = await _asked(send, options, yes)
    if jobs is None:
        return None
    async with app.stop_signal(asyncio.Event()) as stopped:
        return [await _followed(send, job, stopped) for job in jobs]


async def _followed(send: Send, job: str, stopped: asyncio.Event) -> dict[str, Any]:
    """Show the progress of a job that the running Easel paints, and return its end. Raises EaselError."""
    with _bar(Console(stderr=True)) as bar:
        task = bar.add_task("in queue", total=1.0)
        while found := await send("cancel" if stopped.is_set() else "look", {"job": job}):
            if found["ended"]:
                return found
            bar.update(task, completed=found["done"], description=found["words"])
            await asyncio.sleep(LOOK)
    raise EaselError("Easel was stopped meanwhile: it goes on with the job after its next start.")


async def _painted_here(settings: Settings, options: Mapping[str, Any], yes: bool) -> list[dict[str, Any]]:
    """Return the ends of jobs that this process painted. Raises Refusal, EaselError."""
    await doctor.refuse_to_start(settings)
    surface = CommandLine(Console(stderr=True))
    async with app.opened(settings) as easel, app.stop_signal(easel.guard.failed) as stopped:
        easel.adapters[surface.name] = surface
        await easel.lifecycle.start()

        async def send(command: str, options: Mapping[str, Any]) -> dict[str, Any]:
            return await painting.obey(easel, command, options, _order(command, options).origin)

        jobs = []
        for job in await _asked(send, options, yes) or ():
            ended = await surface.end_of(job, stopped)
            jobs.append(await send("look" if ended else "cancel", {"job": job}))
        return jobs


def _order(command: str, options: Mapping[str, Any]) -> admin_socket.Order:
    return admin_socket.Order(command=command, options=options, tenant=PLACE, name=_user())


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


async def describe(settings: Settings, files: Sequence[Path], *, as_json: bool) -> int:
    """Say of each file what it shows, as prompts. Returns 1 where one could not be read."""
    model = settings.caption_model
    describer = CaptionDescriber(model) if model else DrawingDescriber()
    code, told = 0, []
    try:
        for file in files:
            try:
                data = await asyncio.to_thread(file.read_bytes)
                png = await open_source(data, max_bytes=settings.max_source_bytes)
                found = await describer.describe(png)
            except (OSError, Refusal, Unanswered) as error:
                code = _complain(f"{file}: {error.strerror if isinstance(error, OSError) else error}")
                continue
            told.append({"file": str(file), "prompts": found})
            if not as_json:
                sys.stdout.write("".join(f"{file}: {each}\n" for each in found or [NOTHING]))
    finally:
        await describer.close()
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


def _with_files(options: Mapping[str, Any]) -> dict[str, Any]:
    """Replace pictures that are files by their bytes; any other may name a stored picture."""
    given = dict(options)
    for name in ("source", "mask"):
        path = options.get(name)
        if path and Path(path).is_file():
            given[name] = _content(Path(path))
    files: dict[str, list[bytes]] = {}
    for name in ("images", "sref", "cref"):
        named = [each for each in (options.get(name) or "").split(",") if each]
        if found := [each for each in named if Path(each.strip()).is_file()]:
            files[name] = [_content(Path(each.strip())) for each in found]
            given[name] = ",".join(each for each in named if each not in found)
    return {**given, "files": files} if files else given


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise EaselError(f"{file} cannot be read ({error.strerror}): choose another file.") from error


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


def _report(job: dict[str, Any], files: list[Path], as_json: bool) -> None:
    if not as_json:
        sys.stdout.writelines(f"{file}\n" for file in files)
        return
    said = {**job, "pictures": [str(file) for file in files]}
    names = ("job", "state", "pictures", "seed", "seconds", "device_seconds")
    sys.stdout.write(json.dumps({name: said[name] for name in names}) + "\n")


def _complain(sentence: str) -> int:
    sys.stderr.write(f"{sentence}\n")
    return 1
