"""Named styles and shapes, read from `presets.toml`."""

from __future__ import annotations

import difflib
import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from bot.i18n import _, join
from bot.prompts.permutations import literal
from engine import weights

SHAPES = {
    "square": _("Square"),
    "portrait": _("Portrait"),
    "landscape": _("Landscape"),
    "wide": _("Wide"),
    "tall": _("Tall"),
}
"""The labels of the shapes that ship."""

NO_STYLE = "none"
"""What a person says to go without the style that their settings name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """How a style dresses a prompt."""

    prompt: str = "{prompt}"
    negative: str = ""

    def dress(self, words: str, negative: str) -> tuple[str, str]:
        """Return the prompt and the negative prompt that the model gets in this style."""
        joined = ", ".join(part for part in (literal(negative), self.negative) if part)
        dressed = weights.each_part(literal(words), lambda part: self.prompt.replace("{prompt}", part))
        return dressed, joined

    def undress(self, negative: str) -> str:
        """Return the person's own part of a negative prompt that `dress` returned."""
        return negative.removesuffix(self.negative).removesuffix(", ") if self.negative else negative


PLAIN = Template()


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """A named look."""

    name: str
    label: str
    help: str
    template: Template
    aliases: tuple[str, ...] = ()
    on: Mapping[str, Template] = field(default_factory=dict)  # model → what replaces `template` there

    def for_model(self, model: str) -> Template:
        return self.on.get(model, self.template)

    @property
    def words(self) -> tuple[str, ...]:
        """Everything a person may call it."""
        return (self.name, self.label, *self.aliases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presets:
    """All styles by name, all shapes by name ("wide" → "16:9"), and further ratios in plain words."""

    styles: Mapping[str, Style]
    by_words: Mapping[str, Style]  # every word for a style, in the form of `_plain`
    aspects: Mapping[str, str]
    ratios: tuple[str, ...]

    def style(self, words: str) -> Style | None:
        """Return the style with that name, label or alias, in any spelling, or None."""
        return self.by_words.get(_plain(words))

    def closest(self, words: str) -> Style | None:
        """Return the style that a shortened or misspelt name most resembles, or None."""
        wanted = _plain(words)
        begun = [word for word in self.by_words if wanted and word.startswith(wanted)]
        found = begun or difflib.get_close_matches(wanted, self.by_words, n=1)
        return self.by_words[found[0]] if found else None

    def template(self, style: str, model: str) -> Template:
        """Return a style's template for the model; the plain one when there is no such style (any more)."""
        return self.styles[style].for_model(model) if style in self.styles else PLAIN

    def label(self, style: str) -> str:
        return self.styles[style].label if style in self.styles else style

    @property
    def shapes(self) -> list[tuple[str, str]]:
        """Return the ratio and the label of each named shape."""
        named = self.aspects.items()
        return [(ratio, join(" ", (SHAPES.get(name, name.capitalize()), ratio))) for name, ratio in named]

    def shape(self, width: int, height: int) -> str:
        """Format a shape: "16:9" where a known ratio is within 3%, else "640 × 384"."""
        for ratio in (*self.aspects.values(), *self.ratios):
            across, down = map(int, ratio.split(":"))
            if abs(width * down / (height * across) - 1) < 0.03:
                return ratio
        return f"{width} × {height}"


@functools.cache
def load() -> Presets:
    """Load the presets that ship with the project; the file is read once."""
    text = resources.files(__package__).joinpath("presets.toml").read_text(encoding="utf-8")
    return read(text)


def read(text: str) -> Presets:
    """Read presets from TOML. Raises ValueError, TypeError or KeyError for a file that cannot be used."""
    table = tomllib.loads(text)
    styles = {name: _style(name, row) for name, row in table["styles"].items()}
    return Presets(
        styles=styles,
        by_words={_plain(word): style for style in styles.values() for word in style.words},
        aspects=table["aspects"],
        ratios=tuple(table["ratios"]["known"]),
    )


def _style(name: str, row: dict[str, Any]) -> Style:
    row = dict(row)
    template = _template(row.pop("prompt"), row.pop("negative", ""))
    on = {model: _template(**part) for model, part in row.pop("on", {}).items()}
    row["help"] = _(row["help"])
    return Style(name=name, template=template, on=on, aliases=tuple(row.pop("aliases", ())), **row)


def _template(prompt: str, negative: str = "") -> Template:
    if "{prompt}" not in prompt:
        raise ValueError(f"a style's template has no place for the prompt: {prompt}")
    return Template(prompt=prompt, negative=negative)


def _plain(words: str) -> str:
    """Convert a name to the form in which names are compared: "Oil_Painting style" → "oil painting"."""
    spaced = re.sub(r"[\s_-]+", " ", words).strip().casefold()
    return spaced.removesuffix(" style")
