"""SIGKILL between each pair of steps of the books: nothing is lost, nothing is charged twice."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from tests.databases import Cluster, fresh_sqlite
from tests.faults import books

PATIENCE = 60.0
processes = get_context("forkserver")  # a fork is much quicker than a start, and there are many
processes.set_forkserver_preload(["tests.faults.books", "bot.store"])


def live(url: str, killed_at: int = 0) -> tuple[dict[str, Any], int] | None:
    """One life in a process of its own: what it came to and its points, or None when it was killed."""
    here, there = processes.Pipe(duplex=False)
    process = processes.Process(target=books.run, args=(url, killed_at, there))
    process.start()
    there.close()
    process.join(PATIENCE)
    if killed_at and process.exitcode == -signal.SIGKILL:
        return None
    assert process.exitcode == 0
    told: tuple[dict[str, Any], int] = here.recv()
    return told


def kill_at_every_point(fresh: Callable[[], AbstractContextManager[str]], step: int) -> None:
    """Kill a life at each point, or some of them, and let it live again."""
    with fresh() as url:
        whole = live(url)
    assert whole
    expected, points = whole
    assert expected["check"] == "ok" and points > 100
    for point in range(1, points + 1, step):
        with fresh() as url:
            assert live(url, point) is None, f"not killed at {point} of {points}"
            again = live(url)
            assert again and again[0] == expected, f"killed at {point} of {points}"


@pytest.mark.parametrize("step", [41, pytest.param(1, marks=pytest.mark.soak)])
def test_killed_anywhere_the_books_in_sqlite_come_to_the_same(tmp_path: Path, step: int) -> None:
    @contextmanager
    def fresh() -> Iterator[str]:
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            yield fresh_sqlite(Path(folder) / "easel.db")

    kill_at_every_point(fresh, step)


@pytest.mark.parametrize("step", [97, pytest.param(1, marks=pytest.mark.soak)])
def test_killed_anywhere_the_books_in_postgres_come_to_the_same(postgres: Cluster, step: int) -> None:
    @contextmanager
    def fresh() -> Iterator[str]:
        yield (url := postgres.fresh())
        postgres.drop(url)

    kill_at_every_point(fresh, step)
