"""What the tests say where the official descriptions are absent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import specs

ROOT = Path(__file__).parents[2]


def test_each_description_that_is_absent_is_named_with_what_ran_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, gone = tmp_path / "here.json", tmp_path / "gone.json"
    here.touch()
    folder = "tests/contract/slack"
    monkeypatch.setattr(specs, "CHECKS", {"one": (folder, here), "calls": (folder, gone)})

    assert specs.unchecked([f"{folder}/test_wire.py::test_a", "tests/unit/test_b.py::test_b"]) == [
        f"SKIPPED: calls: there is no {gone}; 1 tests ran without this check"
    ]
    assert specs.unchecked(["tests/unit/test_b.py::test_b"]) == []


@pytest.mark.slow
def test_the_summary_says_so_loudly(tmp_path: Path) -> None:
    """Of a real run, by several processes, as `make test` does it."""
    tests = [
        "tests/contract/slack/test_server.py::test_an_argument_that_is_missing",
        "tests/contract/discord/test_wire.py::test_requests_are_what_the_official_document_says",
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "1", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"EASEL_SPECS": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOT CHECKED AGAINST THE OFFICIAL DESCRIPTIONS" in done.stdout
    assert "SKIPPED: requests to Discord: there is no" in done.stdout
    assert "SKIPPED: calls to Slack" in done.stdout and "2 skipped" in done.stdout
