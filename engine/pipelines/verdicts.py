"""What was learned of pipeline classes that no test has compared: may calls be joined? No torch.

A verdict holds for a class, a type of weights and the versions of the libraries, and is kept in a file, so
that a restart need not compare again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)

FILE = "joined-calls.json"


@dataclass(slots=True)
class Joins:
    """What is known of one kind of call: of one module, with arguments of the same form."""

    varied: set[str] = field(default_factory=set)
    """Arguments that differed between rows when joined calls equalled the same calls alone."""
    equal: set[str] = field(default_factory=set)
    """Arguments that must be equal in all rows: where they differed, joined calls were wrong."""
    wrong: bool = False
    """Whether its calls may never be joined."""


@dataclass(slots=True)
class ClassVerdict:
    """What is known of one pipeline class."""

    apart: bool | None = None
    """Whether its requests run one after another, since one changes what others see. None: not known yet."""
    calls: dict[str, Joins] = field(default_factory=dict)
    """By module and form of the arguments."""

    def told(self) -> str:
        """Return it as a few words."""
        if self.apart is None:
            return "not compared yet, so its calls run alone"
        if self.apart:
            return "requests run one after another: they change what others see"
        wrong = sorted({name.partition(" ")[0] for name, each in self.calls.items() if each.wrong})
        joined = sorted({name.partition(" ")[0] for name, each in self.calls.items() if each.varied})
        parts = [f"joined after a comparison: {', '.join(joined)}"] if joined else []
        parts += [f"alone, since joined was wrong: {', '.join(wrong)}"] if wrong else []
        return "; ".join(parts) or "not compared yet, so its calls run alone"


def key(pipeline: str, dtype: str) -> str:
    """Return the name of a class's verdict under the installed libraries."""
    libraries = " ".join(f"{name} {version(name)}" for name in ("diffusers", "torch"))
    return f"{pipeline} {dtype.removeprefix('torch.')} {libraries}"


class Verdicts:
    """The verdicts in a folder; without one they last as long as this object."""

    def __init__(self, folder: Path | None = None) -> None:
        self._file = folder / FILE if folder else None
        self._known: dict[str, ClassVerdict] = self._read()

    def of(self, key: str) -> ClassVerdict:
        """Return a class's verdict, to be completed by whoever compares."""
        return self._known.setdefault(key, ClassVerdict())

    def of_class(self, pipeline: str) -> list[tuple[str, ClassVerdict]]:
        """Return the verdicts of a class under the installed libraries, each with its type of weights."""
        named = {dtype: key(pipeline, dtype) for dtype in ("float32", "bfloat16", "float16")}
        return [(dtype, self._known[name]) for dtype, name in named.items() if name in self._known]

    def save(self) -> None:
        """Write the verdicts down, with what other workers have written meanwhile. Failure is logged."""
        if self._file is None:
            return
        for name, each in self._read().items():
            self._known.setdefault(name, each)
        content = {name: _as_json(each) for name, each in sorted(self._known.items())}
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            _replace(self._file, json.dumps(content, indent=1))
        except OSError as error:
            _log.warning("what was learned of joined calls is not kept: %s", error)

    def _read(self) -> dict[str, ClassVerdict]:
        if self._file is None:
            return {}
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
            return {str(name): _verdict(each) for name, each in content.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            _log.warning("%s cannot be read, so calls are compared anew: %s", self._file, error)
            return {}


def _replace(file: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=file.name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(name, file)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _as_json(verdict: ClassVerdict) -> dict[str, Any]:
    calls = {
        name: {"varied": sorted(each.varied), "equal": sorted(each.equal), "wrong": each.wrong}
        for name, each in sorted(verdict.calls.items())
    }
    return {"apart": verdict.apart, "calls": calls}


def _verdict(content: Any) -> ClassVerdict:
    calls = {
        str(name): Joins(_names(each["varied"]), _names(each["equal"]), each["wrong"] is True)
        for name, each in content["calls"].items()
    }
    apart = content["apart"]
    return ClassVerdict(apart if isinstance(apart, bool) else None, calls)


def _names(found: Iterable[Any]) -> set[str]:
    return {str(each) for each in found}
