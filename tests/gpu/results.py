"""What was measured: printed as it comes, written after each section, drawn as tables for the docs."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Results:
    """Sections with their figures, and the bars that some figures are held against."""

    def __init__(self, file: Path | None, budget: float) -> None:
        self._file, self._start, self.budget = file, time.monotonic(), budget
        self.data: dict[str, Any] = {"machine": {}, "sections": {}, "bars": [], "finished": False}
        self._section: dict[str, Any] = {}

    @property
    def left(self) -> float:
        """Seconds of the budget that are left."""
        return self.budget - (time.monotonic() - self._start)

    @property
    def failures(self) -> int:
        return sum(each["status"] == "failed" for each in self.data["sections"].values())

    def begin(self, machine: dict[str, Any]) -> None:
        self.data["machine"] = machine
        for name, value in machine.items():
            self._print(f"{name:16} {shown(value)}")
        self.write()

    def section(self, name: str, expected: float, work: Callable[[], None]) -> bool:
        """Run one section if it fits into what is left. False where it failed or was left out."""
        self._section = {"status": "running", "expected": expected, "figures": {}}
        self.data["sections"][name] = self._section
        if self.left < expected:
            return self._end("skipped", why=f"{self.left:.0f} s left, about {expected:.0f} s needed")
        self._print(f"\n== {name} (about {expected:.0f} s, {self.left:.0f} s left)")
        start = time.monotonic()
        try:
            work()
        except Exception as error:
            trace = traceback.format_exc()
            self._print(trace)
            # Frames keep tensors alive, and with them the memory that the next section needs.
            traceback.clear_frames(error.__traceback__)
            return self._end("failed", seconds=time.monotonic() - start, error=trace)
        self._end("ok", seconds=time.monotonic() - start)
        return True

    def leave_out(self, name: str, why: str) -> None:
        self._section = self.data["sections"][name] = {"figures": {}}
        self._end("skipped", why=why)

    def _end(self, status: str, **more: Any) -> bool:
        self._section |= {"status": status, **more}
        said = more.get("why") or f"{more['seconds']:.1f} s"
        name = next(k for k, v in self.data["sections"].items() if v is self._section)
        self._print(f"-- {name}: {status}, {said}")
        self.write()
        return False

    def note(self, name: str, value: Any) -> None:
        """Write down one figure of the section that runs."""
        self._section["figures"][name] = value
        self._print(f"   {name:66} {shown(value)}")

    def bar(self, name: str, value: float, *, most: float | None = None, least: float | None = None) -> None:
        """Hold a figure against a bar. One that is missed is no failure of the script."""
        met = (most is None or value <= most) and (least is None or value >= least)
        bar = {"name": name, "value": value, "most": most, "least": least, "met": met}
        self.data["bars"].append(bar)
        self._print(f"   {'MET ' if met else 'MISSED'} {name}: {shown(value)} ({_limits(bar)})")

    def finish(self) -> None:
        self.data["finished"] = True
        self.data["seconds"] = time.monotonic() - self._start
        self.data["failures"] = self.failures
        self.write()
        self._print(f"\n{self.data['seconds']:.0f} s, {self.failures} sections failed")

    def write(self) -> None:
        if self._file is not None:
            text = json.dumps(self.data, indent=1, default=str)
            self._file.write_text(text + "\n", encoding="utf-8")

    @staticmethod
    def _print(line: str) -> None:
        print(line, flush=True)  # noqa: T201


def shown(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value / 1e9:.2f} GB" if abs(value) >= 10**7 else str(value)
    return f"{value:.3g}"


def _limits(bar: dict[str, Any]) -> str:
    sides = [f"at most {shown(bar['most'])}" if bar["most"] is not None else ""]
    sides.append(f"at least {shown(bar['least'])}" if bar["least"] is not None else "")
    return ", ".join(filter(None, sides))


def markdown(data: dict[str, Any]) -> str:
    """Return the table for the docs."""
    machine = data["machine"]
    lines = [
        f"{machine.get('card')}, {shown(machine.get('memory'))}, driver {machine.get('driver') or '?'},"
        f" torch {machine.get('torch')}, diffusers {machine.get('diffusers')}; {machine.get('date')},"
        f" commit {str(machine.get('commit'))[:12]}; {data.get('seconds', 0):.0f} s"
        + ("" if data.get("finished") else ", cut off before its end")
        + (" (TINY: a trial of the script on a CPU, no measurement)" if machine.get("tiny") else ""),
        "",
        "| bar | measured | goal | |",
        "|---|---|---|---|",
    ]
    for bar in data["bars"]:
        met = "met" if bar["met"] else "**missed**"
        lines.append(f"| {bar['name']} | {shown(bar['value'])} | {_limits(bar)} | {met} |")
    for name, section in data["sections"].items():
        lines += ["", f"**{name}**: {section['status']}{_detail(section)}", ""]
        if section["figures"]:
            lines += ["| | |", "|---|---|"]
            lines += [f"| {key} | {_cell(value)} |" for key, value in section["figures"].items()]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    return shown(value).replace("|", "\\|").replace("\n", " ")


def _detail(section: dict[str, Any]) -> str:
    if section.get("error"):
        return ": `" + section["error"].strip().splitlines()[-1][:300] + "`"
    return f", {section['why']}" if section.get("why") else f", {section.get('seconds', 0):.0f} s"
