"""What a check of an installation found."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from json import dumps
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `ok` is None where there is nothing to check."""

    name: str
    ok: bool | None
    detail: str
    remedy: str = ""  # one sentence, where `ok` is False


def render(findings: Sequence[Finding], json: bool = False) -> str:
    """Render the findings as JSON, or as lines for a person."""
    if json:
        return dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=2)
    width = max(len(finding.name) for finding in findings)
    return "\n".join(line for finding in findings for line in _lines(finding, width))


def _lines(finding: Finding, width: int) -> list[str]:
    mark = {True: "ok  ", False: "FAIL", None: "-   "}[finding.ok]
    lines = [f"{mark}  {finding.name:<{width}}  {finding.detail}"]
    return lines + ([f"      {'':<{width}}  → {finding.remedy}"] if finding.remedy else [])


def own_file(title: str, path: Path, what: str = "") -> Finding:
    """Check that only the owner can read a file that may hold a secret."""
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        detail = f"others on this machine can read {path}"
        return Finding(title, False, detail, f"Run `chmod 600 {path}`.")
    return Finding(title, True, f"only you can read {path} {what}".rstrip())
