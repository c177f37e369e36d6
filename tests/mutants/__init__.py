"""Mutations: small faults put into the code on purpose, to see whether the tests notice them.

Each module beside this one lists those of one part in `MUTATIONS`. `python -m tests.mutants` tries them all.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Mutation(NamedTuple):
    """One fault: in the file at `path`, `old`, which stands there exactly once, becomes `new`.

    `tests` are the files or tests that should notice. `harmless` says why nothing can, where nothing can.
    """

    path: str
    old: str
    new: str
    tests: str
    harmless: str = ""

    @property
    def label(self) -> str:
        """Return where the fault is and what it changes, in one line."""
        line = (ROOT / self.path).read_text(encoding="utf-8").partition(self.old)[0].count("\n") + 1
        return f"{self.path}:{line}: {' '.join(self.old.split())[:60]} → {' '.join(self.new.split())[:60]}"


def parts() -> dict[str, list[Mutation]]:
    """Return all mutations by the part they belong to."""
    names = sorted(each.name for each in pkgutil.iter_modules(__path__) if each.name != "__main__")
    return {
        name: [Mutation(*each) for each in importlib.import_module(f"{__name__}.{name}").MUTATIONS]
        for name in names
    }
