"""Try every mutation against the tests that should notice it: `python -m tests.mutants [--only PART …]`.

Prints what survives, and how many were killed. Ends with 1 where fewer than 95 of 100 were, or where a
survivor is not explained. Each runs in a copy of the tracked files, so the working tree is left alone.
"""

from __future__ import annotations

import argparse
import compileall
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from tests.mutants import ROOT, Mutation, parts

GOAL = 0.95
LIMIT = 300.0  # seconds for the tests of one mutation; a mutation that makes them hang is noticed too
PASSED, FAILED = 0, 1  # what pytest ends with


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    arguments.add_argument("--only", action="append", choices=list(parts()), help="one part; may be repeated")
    arguments.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="copies that work at once"
    )
    chosen = arguments.parse_args()
    mutations = [
        each for name, all in parts().items() if not chosen.only or name in chosen.only for each in all
    ]
    with tempfile.TemporaryDirectory() as folder:
        copies: queue.Queue[Path] = queue.Queue()
        for number in range(chosen.workers):
            copies.put(copy(Path(folder) / str(number)))
        with ThreadPoolExecutor(chosen.workers) as pool:
            unchanged = sorted({each.tests for each in mutations})
            sound = dict(zip(unchanged, pool.map(lambda each: check(copies, each), unchanged), strict=True))
            outcomes = Counter(pool.map(lambda each: attempt(copies, each, sound), mutations))
    killed = outcomes["killed"] / max(1, sum(outcomes.values()))
    print(f"{len(mutations)} mutations: {dict(outcomes)}; {killed:.1%} killed")  # noqa: T201
    return int(killed < GOAL or outcomes["SURVIVED"] + outcomes["broken"] > 0)


def copy(folder: Path) -> Path:
    """Return a copy of the tracked files, with the specifications beside it where there are some."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    place = folder / "easel"
    for name in filter(None, names.stdout.split("\0")):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, place / name)
    if (shared := ROOT.parent / "shared").is_dir():
        (folder / "shared").symlink_to(shared)
    compileall.compile_dir(place, quiet=2)  # or each run would do it anew, since runs write no bytecode
    return place


def check(copies: queue.Queue[Path], tests: str) -> bool:
    """Return whether the tests pass on the code as it is: only then do they say anything."""
    place = copies.get()
    try:
        return run(place, tests) == PASSED
    finally:
        copies.put(place)


def attempt(copies: queue.Queue[Path], mutation: Mutation, sound: dict[str, bool]) -> str:
    """Try one mutation, tell the outcome unless it was simply killed, and return it."""
    outcome = "broken"
    if sound[mutation.tests]:
        place = copies.get()
        file = place / mutation.path
        before = file.read_text(encoding="utf-8")
        try:
            file.write_text(before.replace(mutation.old, mutation.new), encoding="utf-8")
            ended = run(place, mutation.tests)
        finally:
            file.write_text(before, encoding="utf-8")
            copies.put(place)
        # Anything but failed tests and a limit that passed, such as a syntax error, shows nothing.
        outcome = {PASSED: "SURVIVED", FAILED: "killed", None: "killed"}.get(ended, "broken")
    if outcome == "SURVIVED" and mutation.harmless:
        outcome = "explained"
    if outcome != "killed":
        note = mutation.harmless or mutation.tests
        print(f"{outcome}: {mutation.label} ({note})", flush=True)  # noqa: T201
    return outcome


def run(place: Path, tests: str) -> int | None:
    """Run tests in a copy; what pytest ends with, or None when it took too long."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests.split()]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        command,
        cwd=place,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # so that what the tests started ends with them
    )
    try:
        return process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
