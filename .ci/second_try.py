"""Run again what failed, and tell what failed twice from what failed once: neither is green.

Exit status: 1 when a test failed again, 3 when all passed at their second try, which are then listed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FAILED = Path(".pytest_cache/v/cache/lastfailed")
AGAIN, ONCE = 1, 3


def main() -> int:
    first = failed()
    if not first:
        sys.stdout.write("The tests failed, but none of them by itself: look above.\n")
        return AGAIN
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "not soak",
        "--last-failed",
        "--last-failed-no-failures",
        "none",
    ]
    status = subprocess.run(command, check=False).returncode
    second = failed()
    listed("FAILED TWICE", sorted(first & second))
    listed("FAILED ONCE, passed at the second try: find out why, this is no success", sorted(first - second))
    return ONCE if status == 0 else AGAIN


def failed() -> set[str]:
    return set(json.loads(FAILED.read_text(encoding="utf-8"))) if FAILED.exists() else set()


def listed(title: str, tests: list[str]) -> None:
    if tests:
        sys.stdout.write("\n".join([f"\n{title}:", *(f"  {each}" for each in tests), ""]))
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
