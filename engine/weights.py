"""Weights in a prompt, as people write them elsewhere: `fox::2 snow::1`, `(fox:1.3)`, `[fox]`.

`::` and a number end a part; what has none counts 1, and what counts less than 0 should not be there.
`(words:1.3)` makes words of a part count more, `[words]` a little less.

All of it comes to texts with factors that sum to 1: the embedding of the prompt is that sum of theirs. A word
that counts `w` times is `w` times the text with it and `1 - w` times the text without it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MOST_TEXTS = 16
"""Texts that one prompt may be encoded as."""

_PART = re.compile(r"::(-?(?:\d{1,4}(?:\.\d{0,4})?|\.\d{1,4}))?(?=[\s,]|$)")
_WORDS = re.compile(
    r"""(?<!\w)(?: \( (?P<more>[^()\[\]:]*[^()\[\]:\d\s]) : \s? (?P<weight>[0-2](?:\.\d{1,3})?|\.\d{1,3}) \)
                 | \[ (?P<less>[^()\[\]:|]*[^()\[\]:|\d\s]) \] )(?!\w)""",
    re.VERBOSE,
)
_LESS = 1 / 1.1


@dataclass(frozen=True, slots=True)
class Weighed:
    """A prompt, read."""

    plain: str  # what should be there, without weights
    negative: tuple[str, ...]  # what should not
    texts: tuple[tuple[str, float], ...]  # with factors that sum to 1

    @property
    def is_weighted(self) -> bool:
        """Tell whether any weight changes anything."""
        return len(self.texts) > 1 or bool(self.negative)


def read(prompt: str) -> Weighed:
    """Read a prompt; where nothing in it counts more than 0, all of it is taken as it stands."""
    parts = list(_parts(prompt))
    positive = [(text, weight) for text, weight in parts if weight > 0]
    if not positive:
        return Weighed(prompt, (), ((prompt, 1.0),))
    whole = sum(weight for _text, weight in positive)
    factors: defaultdict[str, float] = defaultdict(float)
    for part, weight in positive:
        for text, factor in _emphasized(part):
            factors[text] += factor * weight / whole
    texts = tuple((text, factor) for text, factor in factors.items() if abs(factor) > 1e-6)
    plain = ", ".join(_bare(text) for text, _weight in positive)
    return Weighed(plain, tuple(_bare(text) for text, weight in parts if weight < 0), texts)


def each_part(prompt: str, change: Callable[[str], str]) -> str:
    """Return a prompt with every part changed that should be there."""
    parts = list(_parts(prompt))
    if len(parts) < 2:
        return change(parts[0][0] if parts and _PART.search(prompt) else prompt)
    return " ".join(f"{change(text) if weight > 0 else text}::{weight:g}" for text, weight in parts)


def _parts(prompt: str) -> Iterator[tuple[str, float]]:
    at = 0
    for mark in _PART.finditer(prompt):
        if text := prompt[at : mark.start()].strip(" ,"):
            yield text, float(mark[1] or 1)
        at = mark.end()
    if text := prompt[at:].strip(" ,") if at else prompt:
        yield text, 1.0


def _emphasized(part: str) -> Iterator[tuple[str, float]]:
    """Yield the texts of one part with their factors, which sum to 1."""
    marks = list(_WORDS.finditer(part))
    weights = [float(mark["weight"]) if mark["more"] else _LESS for mark in marks]
    yield _bare(part), 1 + sum(weight - 1 for weight in weights)
    for mark, weight in zip(marks, weights, strict=True):
        without = f"{part[: mark.start()]} {part[mark.end() :]}"
        yield " ".join(_bare(without).split()).strip(" ,"), 1 - weight


def _bare(text: str) -> str:
    return _WORDS.sub(lambda mark: mark["more"] or mark["less"], text)
