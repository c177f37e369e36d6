from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "second_try.py"

FLAKY = """
from pathlib import Path

def test_fails_once():
    there = Path("there").exists()
    Path("there").touch()
    assert there

def test_passes():
    pass
"""
ALWAYS = """
def test_fails_always():
    assert False
"""


def ci(folder: Path, tests: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(tests)
    (folder / "pytest.ini").write_text("[pytest]\n")
    subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=folder, capture_output=True)
    return subprocess.run([sys.executable, str(SCRIPT)], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("tests", "status", "once", "twice"),
    [
        (FLAKY, 3, ["test_it.py::test_fails_once"], []),
        (ALWAYS, 1, [], ["test_it.py::test_fails_always"]),
        (FLAKY + ALWAYS, 1, ["test_it.py::test_fails_once"], ["test_it.py::test_fails_always"]),
        ("a mistake", 1, [], ["test_it.py"]),
    ],
    ids=["once", "always", "both", "not even read"],
)
def test_a_second_try_is_never_silent_and_never_a_success(
    tmp_path: Path, tests: str, status: int, once: list[str], twice: list[str]
) -> None:
    done = ci(tmp_path, tests)
    _, _, told_once = done.stdout.partition("FAILED ONCE")
    _, _, told_twice = done.stdout.partition("FAILED ONCE")[0].partition("FAILED TWICE")
    assert done.returncode == status
    assert [each.strip() for each in told_once.split("\n  ")[1:]] == once
    assert [each.strip() for each in told_twice.split("\n  ")[1:]] == twice


def test_what_failed_without_a_test_of_its_own_stays_a_failure(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(SCRIPT)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "none of them by itself" in done.stdout
