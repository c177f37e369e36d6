"""What holds for every test."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import secrets
import shutil
import sys
import threading
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest
import structlog
from discord import app_commands
from jinja2 import Environment

from bot import telemetry
from bot.adapters.web import views
from bot.provenance import keys, signing
from bot.provenance.keys import Keys
from bot.store import migrations, sqlite
from engine.workers import process
from tests import specs
from tests.databases import Cluster, binaries, cluster, compile_once, copied, fresh_sqlite
from tests.once import Compiled, translate_once

# Before anything imports torch. Tiny models gain nothing from threads, and threads that spin while they wait
# for each other make tests that share the machine several times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["HF_HUB_OFFLINE"] = "1"  # else whatever asks for a model that is not here waits for the network

LONG = (
    "unit/test_worker_process.py",
    "unit/test_gpu_script.py",
    "scenario/test_cli.py",
    "faults/test_books_killed.py",
    "scenario/test_authorization.py",
    "unit/test_store_properties.py",
    "slack/test_behaviour.py",
    "slack/test_uploads.py",
    "slack/test_killed.py",
    "browser/test_studio.py",
    "slack/test_wire.py",
    "discord/test_wire.py",
    "scenario/test_kill.py",
    "unit/test_evaluate.py",
    "unit/test_training_denoiser.py",
    "unit/test_linear.py",
)
"""The files that take longest, in that order."""


def plain_tracebacks() -> None:
    """Log exceptions without everything that was in scope: drawing that can take minutes."""
    renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], renderer])


plain_tracebacks()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: workers take whole files, and the last one should not work on alone."""

    def place(item: pytest.Item) -> int:
        name = "/".join(item.path.parts[-2:])
        return LONG.index(name) if name in LONG else len(LONG) + name.startswith("unit/")

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Leave what was imported out of garbage collections: each that the code asks for would take a second.

    What Python starts by itself comes more seldom than in a server that runs for months.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what the contract tests could not check."""
    reports = [each for kind in ("passed", "failed", "skipped") for each in terminalreporter.getreports(kind)]
    if lines := specs.unchecked({each.nodeid for each in reports}):
        terminalreporter.section(
            "NOT CHECKED AGAINST THE OFFICIAL DESCRIPTIONS", sep="!", red=True, bold=True
        )
        for line in lines:
            terminalreporter.line(line, red=True)


@pytest.fixture(autouse=True, scope="session")
def _workers_that_start_quickly() -> None:
    """Fork workers from a process that has imported what they need: on a CPU, a fork does no harm.

    Starting one from nothing takes five seconds of CPU. The commands of the command line still do.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.preloaded"])
    process.PROCESSES = context


@pytest.fixture(autouse=True, scope="session")
def _templates_are_compiled_once() -> None:
    """Save each web studio of the tests a quarter of a second of CPU."""
    views.Environment = partial(Environment, bytecode_cache=Compiled())  # type: ignore[misc]


@pytest.fixture(autouse=True, scope="session")
def _commands_are_translated_once() -> None:
    """Save each Discord client of the tests the same commands in thirty languages, twice."""
    for kind in (app_commands.Command, app_commands.Group, app_commands.ContextMenu):
        translate_once(kind)


MIGRATE = migrations.upgrade


@pytest.fixture(autouse=True, scope="session")
def _new_databases_are_copies() -> None:
    """Save each of a few thousand tests the migrations of its blank database."""
    migrations.upgrade = copied(MIGRATE)


@pytest.fixture(autouse=True, scope="session")
def _new_keys_are_copies(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Save each Easel of the tests the making and trying of certificates.

    Its mark has another key than the Easel before it: one of two, for which the patterns are kept.
    """
    ready, made = signing.ready, tmp_path_factory.mktemp("keys") / "made"
    marks = itertools.cycle(secrets.token_bytes(32) for _ in range(2))
    ready(made)

    def copied_keys(folder: Path, certificate: str = "", private_key: str = "") -> Keys:
        if certificate or private_key or folder.exists():
            return ready(folder, certificate, private_key)
        shutil.copytree(made, folder)
        (folder / keys.MARK_KEY).write_bytes(next(marks))
        found = keys.found(folder)
        assert found is not None
        return found

    signing.ready = copied_keys


@pytest.fixture(autouse=True, scope="session")
def _no_power_cuts() -> None:
    """Let SQLite not wait for the disk: a process that is killed loses nothing by that."""
    sqlite.PRAGMAS["synchronous"] = "OFF"
    compile_once()


@pytest.fixture(autouse=True)
def _the_loggers_as_they_were() -> Iterator[None]:
    """Undo after each test what `telemetry.set_up`, and with it a command of the command line, changes."""
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in telemetry._NOISY}
    configuration = structlog.get_config()
    yield
    root.handlers, (sys.excepthook, threading.excepthook) = handlers, hooks
    for logger, before in ((root, level), *((logging.getLogger(name), was) for name, was in levels.items())):
        if logger.level != before:  # to set one makes all loggers forget what they are enabled for
            logger.setLevel(before)
    logging.captureWarnings(False)
    structlog.configure(**configuration)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A running Postgres, or a skipped test."""
    if (programs := binaries()) is None:
        pytest.skip("Postgres is not installed: no initdb")
    with cluster(programs) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def blank_url(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A database of each kind that was never opened, and that the migrations will make."""
    monkeypatch.setattr(migrations, "upgrade", MIGRATE)
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/easel.db"
        return
    running: Cluster = request.getfixturevalue("postgres")
    yield (url := running.fresh(blank=True))
    running.drop(url)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind, with the tables of today."""
    if request.param == "sqlite":
        yield fresh_sqlite(tmp_path / "easel.db")
        return
    running: Cluster = request.getfixturevalue("postgres")
    yield (url := running.fresh())
    running.drop(url)
