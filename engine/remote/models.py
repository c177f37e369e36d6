"""Models behind OpenAI's images API: read from their names and from a file of what is said about them."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

from engine.errors import ModelNotLoaded, UnknownModel
from engine.families.base import Family
from engine.prices import Price, parts_of
from engine.remote.dialects import DIALECTS, Dialect, dialect
from engine.types import ModelInfo, TaskKind, Terms

_NAME = re.compile(rf"({'|'.join(DIALECTS)}):(https?://.+)", re.IGNORECASE)
QUALITIES = ("auto", "low", "medium", "high", "standard", "hd")
LEAST_TIMEOUT, TIMEOUT, MOST_TIMEOUT = 5.0, 300.0, 3600.0  # seconds that one picture may take

Size = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """Where a model answers, and how it is asked. Holds no key."""

    server: str
    url: str  # without a slash at its end
    model: str  # as the server knows it; empty: its own
    dialect: Dialect
    quality: str = ""
    timeout: float = TIMEOUT  # seconds
    partial_images: int = 2
    most: int = 32  # requests at once

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def family(self) -> Family:
        """Return the family that says what such a model is told about its images."""
        return Family(name="remote", pipelines={}, strength=False, references=self.dialect.references)


@dataclass(frozen=True)
class RemoteModels:
    """What is said about models in a TOML file: a table for each, by its name."""

    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str) -> RemoteModels:
        """Return what a file says; nothing without one. Raises ModelNotLoaded."""
        if not path:
            return cls()
        try:
            tables = tomllib.loads(Path(path).expanduser().read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise _wrong(f"REMOTE_MODELS={path} cannot be read ({error}): correct that place.") from error
        for name, table in tables.items():
            if not isinstance(table, dict):
                raise _wrong(f"REMOTE_MODELS={path} has {name} outside of a table: put it under [a model].")
        return cls(tables)

    def model(self, setting: str) -> tuple[ModelInfo, Remote]:
        """Return the model that a name in MODEL stands for. Raises UnknownModel, ModelNotLoaded."""
        server, url, model = _parts(setting)
        name = model.rpartition("/")[2].casefold() or (urlsplit(url).hostname or "")
        table = next((each for key, each in self.tables.items() if key.casefold() == name), {})
        _check(name, table)
        model = table.get("model", model)
        to = dialect(server, model)
        sizes = _sizes(name, table.get("sizes")) or to.sizes
        to = replace(to, sizes=sizes)
        remote = Remote(
            server=server,
            url=url,
            model=model,
            dialect=to,
            **{key: table[key] for key in ("quality", "timeout", "partial_images", "most") if key in table},
        )
        return _info(name, table, remote), remote


def is_remote(setting: str) -> bool:
    """Tell whether a name in MODEL is one of a model behind an API."""
    return _NAME.fullmatch(setting) is not None


def _parts(setting: str) -> tuple[str, str, str]:
    """Return the server's kind, the address and the model. Raises UnknownModel."""
    found = _NAME.fullmatch(setting)
    shown = re.sub(r"//[^/]*@", "//…@", setting)
    try:
        parts = urlsplit(found[2]) if found else None
        good = (
            parts is not None
            and parts.hostname
            and not parts.username
            and not parts.query
            and parts.port != 0
        )
    except ValueError:
        good = False
    if found is None or parts is None or not good:
        advice = f"MODEL={shown} is no address: write it as in openai:https://api.openai.com/v1#gpt-image-2."
        raise UnknownModel(advice, advice=advice)
    return found[1].casefold(), f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}", parts.fragment


def _info(name: str, table: Mapping[str, Any], remote: Remote) -> ModelInfo:
    to = remote.dialect
    width, height = to.sizes[0] if to.sizes else (1024, 1024)
    steps = table.get("steps", 20) if to.steps else 1
    return ModelInfo(
        name=name,
        title=table.get("title", remote.model or name),
        licence=table.get("licence", f"as {remote.host} says"),
        terms=table.get("terms", ""),
        width=width,
        height=height,
        steps=steps,
        max_steps=max(steps, 100) if to.steps else 1,
        guidance=float(table.get("guidance", 5.0)),
        multiple=to.multiple,
        min_side=min(256, *(side for size in to.sizes for side in size)) if to.sizes else 256,
        max_side=max(side for size in to.sizes for side in size) if to.sizes else to.most_side,
        tasks=_tasks(table, to),
        negative_prompt=bool(to.negative),
        strength=False,
        references=to.references if to.edits else 0,
        cuts_out=to.backgrounds,
        seeds=bool(to.seed),
        guided=bool(to.guidance),
        sizes=to.sizes,
        prices=_prices(name, table.get("price")),
        currency=str(table.get("currency", "")).upper(),
        quality=remote.quality,
    )


def _tasks(table: Mapping[str, Any], to: Dialect) -> frozenset[TaskKind]:
    able: set[TaskKind] = {"text_to_image"}
    if to.edits:
        able |= {"image_to_image", "edit"}
    if to.edits and to.references > 1:
        able.add("blend")
    if to.edits and to.masks:
        able |= {"inpaint", "outpaint"}
    return frozenset(able & set(table["tasks"]) | {"text_to_image"} if "tasks" in table else able)


# ---- the file


def _check(name: str, table: Mapping[str, Any]) -> None:
    """Raise ModelNotLoaded for a key that means nothing, and for a value that cannot be used."""
    for key, value in table.items():
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_KEYS)}."
            raise _wrong(f"REMOTE_MODELS has a key {key} in [{name}], which means nothing: {hint}")
        allowed, good = _KEYS[key]
        if not good(value):
            raise _wrong(f"REMOTE_MODELS says {key} = {value!r} in [{name}]: it must be {allowed}.")
    if ("price" in table) != ("currency" in table):
        raise _wrong(f"REMOTE_MODELS has a price or a currency alone in [{name}]: give both.")


def _number(low: float, high: float) -> Any:
    return lambda value: type(value) in (int, float) and low <= value <= high


def _whole(low: int, high: int) -> Any:
    return lambda value: type(value) is int and low <= value <= high


_TASKS: tuple[str, ...] = get_args(TaskKind)
_TERMS: tuple[str, ...] = tuple(each for each in get_args(Terms) if each)
_TEXT = ("a text in quotation marks", lambda value: isinstance(value, str) and 0 < len(value) <= 100)
_KEYS: Mapping[str, tuple[str, Any]] = {
    "model": _TEXT,
    "title": _TEXT,
    "licence": _TEXT,
    "terms": (f"one of {', '.join(_TERMS)}", lambda value: value in _TERMS),
    "quality": (f"one of {', '.join(QUALITIES)}", lambda value: value in QUALITIES),
    "currency": (
        'three letters, as in "EUR"',
        lambda value: isinstance(value, str) and re.fullmatch(r"[A-Za-z]{3}", value) is not None,
    ),
    "price": (
        'an amount as in "0.04", or a table of amounts by size and quality',
        lambda value: type(value) in (str, int, float, dict) and value != {},
    ),
    "sizes": ('a list as in ["1024x1024", "1536x1024"]', lambda value: isinstance(value, list) and value),
    "tasks": (
        f"a list of some of {', '.join(_TASKS)}",
        lambda value: isinstance(value, list) and set(value) <= set(_TASKS),
    ),
    "steps": ("a whole number from 1 to 100", _whole(1, 100)),
    "guidance": ("a number from 0 to 30", _number(0, 30)),
    "timeout": (f"seconds from {LEAST_TIMEOUT:g} to {MOST_TIMEOUT:g}", _number(LEAST_TIMEOUT, MOST_TIMEOUT)),
    "partial_images": ("a whole number from 0 to 3", _whole(0, 3)),
    "most": ("a whole number from 1 to 256", _whole(1, 256)),
}


def _sizes(name: str, given: Any) -> tuple[Size, ...]:
    try:
        return tuple(_size(each) for each in given or ())
    except (TypeError, ValueError) as error:
        raise _wrong(f"REMOTE_MODELS says sizes = {given!r} in [{name}]: write them as 1024x1024.") from error


def _size(text: str) -> Size:
    width, height = map(int, text.split("x"))
    if not (16 <= width <= 8192 and 16 <= height <= 8192):
        raise ValueError(text)
    return width, height


def _prices(name: str, given: Any) -> tuple[Price, ...]:
    lines = given if isinstance(given, dict) else {"": given} if given is not None else {}
    try:
        return tuple(_price(about, amount) for about, amount in lines.items())
    except (TypeError, ValueError) as error:
        raise _wrong(f"REMOTE_MODELS has a price in [{name}] that cannot be read: {error}.") from error


def _price(about: str, amount: Any) -> Price:
    """Return a line such as "high 1024x1536" = "0.25". Raises ValueError."""
    size = quality = ""
    for word in about.split():
        if word in QUALITIES:
            quality = word
        elif word != "other":
            size = "x".join(map(str, _size(word)))
    return Price(parts_of(amount), size, quality)


def _wrong(sentence: str) -> ModelNotLoaded:
    return ModelNotLoaded(sentence, advice=sentence)
