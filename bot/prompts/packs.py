"""Size packs: in which sizes a finished picture is delivered, from `packs.toml` and PACKS_FILE."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from bot.errors import SettingError
from bot.i18n import _, listing
from bot.options import Unusable, clip, suggest
from bot.prompts.readers import WIDEST
from engine.types import NamedSize

MOST_SIZES = 9  # of a pack: with the picture itself they are ten, the files that one message takes
LEAST_SIDE, MOST_SIDE = 16, 8192  # pixels
MOST_PIXELS = 40_000_000
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,23}", re.ASCII)
_SIZE_KEYS = {"width", "height", "format", "limit_mb"}

_LABELS = {
    "social": _("Social media"),
    "web": _("Web page"),
    "ads": _("Display ads"),
    "print": _("Print"),
}
"""The labels of the packs that ship."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """Sizes that are asked for together."""

    name: str
    label: str
    sizes: tuple[NamedSize, ...]

    @property
    def aspect(self) -> str:
        """Return the ratio from which its sizes are furthest least: that of a picture painted for it."""
        ratios = [math.log(each.width / each.height) for each in self.sizes]
        middle = math.exp((min(ratios) + max(ratios)) / 2)
        return f"{min(max(middle, 1 / WIDEST), WIDEST):.3f}:1"


Packs = Mapping[str, Pack]


def read(text: str, name: str, base: Mapping[str, Any] | None = None) -> Packs:
    """Read packs from TOML; `name` is the file's, `base` the tables that it adds to.

    Raises SettingError, which names the file, the line or the key, and the remedy.
    """
    tables = _tables(text, name)
    sizes = {key: _size(key, row, name) for key, row in tables["sizes"].items()}
    known = {key: _size(key, row, "packs.toml") for key, row in (base or {}).get("sizes", {}).items()} | sizes
    rows = {**(base or {}).get("packs", {}), **tables["packs"]}
    return {key: _pack(key, row, known, name) for key, row in rows.items()}


def load(path: Path | None = None) -> Packs:
    """Load the packs that ship, with those of a file added. Raises SettingError."""
    shipped = resources.files(__package__).joinpath("packs.toml").read_text(encoding="utf-8")
    if path is None:
        return read(shipped, "packs.toml")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingError(f"PACKS_FILE={path} cannot be read ({reason}): name a text file.") from error
    return read(text, str(path), _tables(shipped, "packs.toml"))


_used: dict[str, Pack] = {}


def use(found: Packs) -> None:
    """Offer these packs from now on."""
    _used.clear()
    _used.update(found)


def known() -> Packs:
    """Return the packs that are offered: those that ship, unless others are used."""
    if not _used:
        use(load())
    return _used


def read_pack(value: str) -> str:
    """Return the name of a pack in any spelling. Raises Unusable, which names those that there are."""
    wanted = value.casefold().strip().replace(" ", "-")
    if wanted in known():
        return wanted
    near = suggest(wanted, known())
    raise Unusable(
        _(
            "There is no size pack “{name}”. There are {names}.",
            name=clip(value),
            names=listing(list(known())),
        ),
        near or next(iter(known())),
    )


def label(name: str) -> str:
    """Return a pack's label to show; of one that is gone, its name."""
    return known()[name].label if name in known() else name


def shown(size: NamedSize) -> str:
    """Return a size as people read it."""
    return f"{size.name} {size.width} × {size.height}"


def listed(sizes: Sequence[NamedSize]) -> str:
    """Return sizes in one line."""
    return ", ".join(map(shown, sizes))


# ---- reading


def _tables(text: str, name: str) -> dict[str, dict[str, Any]]:
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{name} is not valid TOML: {error}. Correct that line.") from error
    found = {key: tables.pop(key, {}) for key in ("sizes", "packs")}
    if unknown := next(iter(tables), ""):
        raise SettingError(f"{name}: {unknown} is unknown; there are [sizes.…] and [packs.…].")
    for kind, rows in found.items():
        for key, row in rows.items() if isinstance(rows, dict) else [(kind, None)]:
            if not isinstance(row, dict) or not _NAME.fullmatch(key):
                raise SettingError(
                    f"{name}: [{kind}.{key}] is no table with a name of small letters, digits and hyphens."
                )
    return found


def _size(key: str, row: Mapping[str, Any], file: str) -> NamedSize:
    where = f"{file}: [sizes.{key}]"
    if unknown := set(row) - _SIZE_KEYS:
        raise SettingError(f"{where}: {min(unknown)} is unknown; there are {', '.join(sorted(_SIZE_KEYS))}.")
    width, height = (_side(row.get(side), f"{where}: {side}") for side in ("width", "height"))
    if width * height > MOST_PIXELS:
        raise SettingError(
            f"{where} has more than {MOST_PIXELS // 1_000_000} million pixels: make it smaller."
        )
    if (format := row.get("format", "jpeg")) not in ("jpeg", "png"):
        raise SettingError(f'{where}: format is {format!r}; it can be "jpeg" or "png".')
    limit = row.get("limit_mb", 0)
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit <= 1000:
        raise SettingError(f"{where}: limit_mb is {limit!r}; it can be 0 (none) to 1000.")
    return NamedSize(name=key, width=width, height=height, format=format, limit=round(limit * 1_000_000))


def _side(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not LEAST_SIDE <= value <= MOST_SIDE:
        said = "missing" if value is None else repr(value)
        raise SettingError(f"{where} is {said}; it can be {LEAST_SIDE} to {MOST_SIDE} pixels.")
    return value


def _pack(key: str, row: Mapping[str, Any], sizes: Mapping[str, NamedSize], file: str) -> Pack:
    where, names = f"{file}: [packs.{key}]", row.get("sizes")
    if unknown := set(row) - {"label", "sizes"}:
        raise SettingError(f"{where}: {min(unknown)} is unknown; there are label, sizes.")
    if (
        not isinstance(names, list)
        or not 1 <= len(names) <= MOST_SIZES
        or len(set(map(str, names))) < len(names)
    ):
        raise SettingError(f"{where}: sizes is a list of 1 to {MOST_SIZES} different names.")
    if missing := next((each for each in names if each not in sizes), None):
        raise SettingError(f"{where}: there is no [sizes.{missing}]; there are {', '.join(sizes)}.")
    words = row.get("label", key.replace("-", " ").capitalize())
    if not isinstance(words, str) or not 0 < len(words) <= 30:
        raise SettingError(f"{where}: label is a text of at most 30 characters.")
    shipped = key in _LABELS and words == str(_LABELS[key])
    return Pack(
        name=key, label=_LABELS[key] if shipped else words, sizes=tuple(sizes[each] for each in names)
    )
