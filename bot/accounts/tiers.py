"""Tiers, read from `tiers.toml` or the file that TIERS_FILE names."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, get_args
from zoneinfo import available_timezones

from bot.commands.admin import MAX_SECONDS
from bot.errors import SettingError
from bot.i18n import _
from bot.models import Allowance, Period, Priority, Tier
from bot.options import clip, suggest
from bot.prompts.draft import MAX_COUNT, MAX_STEPS

DEFAULT = "everyone"
"""The tier of people who have no other."""

Reader = Callable[[Any], Any]
"""From a TOML value to a field's. Raises ValueError with what is allowed: "a whole number from 1 to 16"."""


@dataclass(frozen=True, slots=True)
class Tiers:
    """All tiers, in the order of the file: of several that a person has, the first holds."""

    all: tuple[Tier, ...]

    @property
    def default(self) -> Tier:
        return next(tier for tier in self.all if tier.name == DEFAULT)

    @property
    def periods(self) -> tuple[Allowance, ...]:
        """An allowance for each period that any tier has."""
        found = {(each.per, each.rolling, each.zone): each for tier in self.all for each in tier.allowances}
        return tuple(found.values())

    def named(self, name: str) -> Tier | None:
        """Return the tier of that name, in any case; None when there is none (any more)."""
        return next((tier for tier in self.all if tier.name == name.casefold()), None)

    def title(self, name: str) -> str:
        """Return a tier's title to show; for one that is gone, its name with that."""
        tier = self.named(name)
        return tier.title if tier else _("{name}, which is no longer in the tiers file", name=name)

    def first(self, names: Collection[str]) -> Tier | None:
        return next((tier for tier in self.all if tier.name in names), None)


def load(path: Path | None = None, models: Iterable[str] = ()) -> Tiers:
    """Load the tiers of a file, or those that ship with Easel.

    `models` are those that may be named; none: any. Raises SettingError, which names the file, the line, the
    key, its value and the remedy.
    """
    if path is None:
        text = resources.files(__package__).joinpath("tiers.toml").read_text(encoding="utf-8")
        return read(text, "tiers.toml", models)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingError(f"TIERS_FILE={path} cannot be read ({reason}): name a text file.") from error
    return read(text, str(path), models)


def read(text: str, name: str, models: Iterable[str] = ()) -> Tiers:
    """Read tiers from TOML; `name` is the file's. Raises SettingError."""
    return _TiersFile(text, name, tuple(models)).tiers()


class _TiersFile:
    """One file while it is read."""

    def __init__(self, text: str, name: str, models: tuple[str, ...]) -> None:
        self._lines = text.splitlines()
        self._name = name
        self._readers: dict[str, Reader] = {**_READERS, "models": _of_these(models, "models")}
        try:
            self._tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SettingError(f"{name} is not valid TOML: {_said(error)}") from error

    def tiers(self) -> Tiers:
        found = tuple(self._tier(name, table) for name, table in self._tables.items())
        twice = [tier.name for tier in found if sum(tier.name == each.name for each in found) > 1]
        if twice:
            raise self._error(twice[0], "", f"there are two tiers called {twice[0]}: rename one.")
        if not any(tier.name == DEFAULT for tier in found):
            raise SettingError(f"{self._name} has no tier for people without one: add a table [{DEFAULT}].")
        return Tiers(found)

    def _tier(self, name: str, table: Any) -> Tier:
        if not isinstance(table, dict):
            raise self._error(
                "", name, f"{name} = {_shown(table)} is in no tier: put it under one, as in [team]."
            )
        if not re.fullmatch(r"[-\w]{1,32}", name):
            raise self._error(
                name, "", f"a tier's name has 1 to 32 letters, digits and hyphens, not “{name}”."
            )
        if name.casefold() == "none":
            raise self._error(name, "", "a tier cannot be called none, which means to have none: rename it.")
        values = self._values(name, table, self._readers)
        allowances = tuple(self._allowances(name, values.pop("allowances", [])))
        title = values.pop("title", name)
        return Tier(name=name.casefold(), title=title, allowances=allowances, **values)

    def _allowances(self, tier: str, rows: list[dict[str, Any]]) -> Iterator[Allowance]:
        for number, row in enumerate(rows):
            values = self._values(tier, row, _ALLOWANCE, number)
            for key in ("seconds", "per"):
                if key not in values:
                    raise self._error(tier, "allowances", f"an allowance needs {key}, as in {_EXAMPLE}.")
            yield Allowance(**values)

    def _values(
        self, tier: str, table: dict[str, Any], readers: dict[str, Reader], number: int = 0
    ) -> dict[str, Any]:
        found = {}
        for key, value in table.items():
            if key not in readers:
                near = suggest(key, readers)
                hint = f"did you mean {near}?" if near else f"there are {', '.join(readers)}."
                raise self._error(tier, key, f"there is no key {key} (= {_shown(value)}): {hint}", number)
            try:
                found[key] = readers[key](value)
            except ValueError as error:
                notice = f"{key} = {_shown(value)} cannot be used: it must be {error}."
                raise self._error(tier, key, notice, number) from error
        return found

    def _error(self, tier: str, key: str, notice: str, number: int = 0) -> SettingError:
        where = f"[{tier}], " if tier else ""
        return SettingError(f"{self._name}, {where}line {self._line(tier, key, number)}: {notice}")

    def _line(self, tier: str, key: str, number: int) -> int:
        """Return the line of use `number` (from 0) of the key in the table, else its last, else the start."""
        header = re.compile(r"\s*\[\s*[\"']?(?P<name>[^]\"'.]+?)[\"']?\s*[\].]")
        here, begins = not tier, 1
        for at, line in enumerate(self._lines, start=1):
            if found := header.match(line):
                here = found["name"].casefold() == tier.casefold()
                begins = at if here else begins
            if not here or not key:
                continue
            times = len(re.findall(rf"(?<![\w-])[\"']?{re.escape(key)}[\"']?\s*=", line.split("#")[0]))
            begins = at if times else begins
            if times > number:
                break
            number -= times
        return begins


def _said(error: tomllib.TOMLDecodeError) -> str:
    """Explain a TOML error, such as a tier that is defined twice, in words that say what to do."""
    text = str(error)
    if found := re.search(r"declare \('(.+?)',\) twice \(at (line \d+)", text):
        return f"two tiers are called {found[1]} ({found[2]}). Rename one."
    return f"{text}. Correct that place."


def _shown(value: Any) -> str:
    return clip(f'"{value}"' if isinstance(value, str) else str(value))


# --- values -----------------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value.strip()) <= 64:
        raise ValueError("a text of 1 to 64 characters, in quotation marks")
    return value.strip()


def _whole(low: int, high: int) -> Reader:
    def parse(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return parse


def _number(low: float, high: float) -> Reader:
    def parse(value: Any) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:.0f}")
        return float(value)

    return parse


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _one_of(choices: Collection[str]) -> Reader:
    def parse(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return str(value)

    return parse


def _of_these(choices: tuple[str, ...], what: str) -> Reader:
    """Return a reader for a list of names from `choices`, or of any names if there are no choices."""

    def parse(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
            raise ValueError(f'a list of {what}, as in ["{next(iter(choices), "name")}"]')
        for each in value:
            if choices and each not in choices:
                near = suggest(each, choices)
                raise ValueError(f"a list of {', '.join(choices)}" + (f" (perhaps {near})" if near else ""))
        return tuple(value)

    return parse


def _zone(value: Any) -> str:
    if not isinstance(value, str) or value not in available_timezones():
        near = suggest(str(value), available_timezones())
        raise ValueError("a time zone as in Europe/Berlin" + (f" (perhaps {near})" if near else ""))
    return value


def _tables(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError(f"a list, as in [{_EXAMPLE}]")
    return value


_EXAMPLE = '{ seconds = 3600, per = "day" }'

_ALLOWANCE: dict[str, Reader] = {
    "seconds": _number(0, MAX_SECONDS),
    "per": _one_of(get_args(Period)),
    "rolling": _flag,
    "zone": _zone,
}
_READERS: dict[str, Reader] = {
    "title": _text,
    "weight": _number(0.01, 100),
    "allowances": _tables,
    "running": _whole(1, 100),
    "waiting": _whole(1, 10_000),
    "max_pixels": _whole(1, 2**28),
    "max_steps": _whole(1, MAX_STEPS),
    "max_count": _whole(1, MAX_COUNT),
    "models": _text,  # replaced by the models that there are
    "loras": _of_these((), "LoRAs"),
    "cooldown": _number(0, 86_400),
    "priorities": _of_these(get_args(Priority), "priorities"),
    "restricted": _flag,
    "label": _flag,
    "draft": _flag,
}
