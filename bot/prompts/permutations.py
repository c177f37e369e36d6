r"""Several prompts in one: `a {red, blue} fox` is a red fox and a blue fox.

Choices stand in braces, with a comma between them, and may hold choices themselves; several braces give all
combinations. Braces without a comma, without a partner or in quotation marks stay as they are, and so do
`\{` and `\}`; `\,` is a comma inside a choice.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from bot.errors import Refusal
from bot.i18n import _

MOST = 40
"""Jobs that one request may become."""

_TOKEN = re.compile(
    r"""(?<![^\s{,])["“„«][^"“”„«»]*["“”»](?=[\s,.;:!?)}]|$)|\\[{},]|[{},]|[^\\{},"“„«]+|.""", re.DOTALL
)


def expanded(text: str) -> tuple[str, ...]:
    """Return each prompt that a text stands for, the text alone where it has no choices. Raises Refusal."""
    frames = [_Choices()]
    for token, divides in _pieces(_TOKEN.findall(text)):
        if not divides:
            frames[-1].follow([token])
        elif token == "{":
            frames.append(_Choices())
        elif token == ",":
            frames[-1].next()
        else:
            choice = frames.pop().all()
            frames[-1].follow(choice)
    return tuple(dict.fromkeys(_with_commas(" ".join(each.split())) for each in frames[0].all()))


def _with_commas(text: str) -> str:
    """Return a prompt with plain commas for escaped ones, unless these would divide choices."""
    plain = text.replace(r"\,", ",")
    return text if _groups(_TOKEN.findall(plain)) else plain


def together(texts: Iterable[str]) -> str:
    """Return the text that stands for all of these prompts; empty where a quotation mark forbids it."""
    unique = list(dict.fromkeys(texts))
    if len(unique) == 1:
        return unique[0]
    text = f"{{{', '.join(map(_as_choice, unique))}}}"
    return text if list(map(literal, expanded(text))) == list(map(literal, unique)) else ""


def literal(prompt: str) -> str:
    """Return a prompt without the backslashes before braces that stay."""
    return re.sub(r"\\([{},])", r"\1", prompt)


def kept(text: str) -> str:
    """Return words with backslashes before their braces, so that these stay."""
    return re.sub(r"(?<!\\)[{}]", r"\\\g<0>", text)


@dataclass(slots=True)
class _Choices:
    """The choices of one pair of braces, while they are read."""

    done: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=lambda: [""])  # the present choice, in all its variants

    def follow(self, pieces: Sequence[str]) -> None:
        """Append each of the pieces to each variant. Raises Refusal for too many."""
        if len(self.open) * len(pieces) > MOST:
            raise too_many()
        self.open = [before + piece for before in self.open for piece in pieces]

    def next(self) -> None:
        self.done += [each.strip() for each in self.open]
        self.open = [""]

    def all(self) -> list[str]:
        if self.done:
            self.next()
            return self.done
        return self.open


def too_many() -> Refusal:
    notice = _("Choices in braces and --repeat make at most {most} jobs. Leave some out.", most=MOST)
    return Refusal(notice, code="series")


def _pieces(tokens: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Yield the tokens that divide choices, with True, and whatever stands between two of them as one."""
    groups = _groups(tokens)
    for divides, run in itertools.groupby(enumerate(tokens), lambda each: each[0] in groups):
        between = [token for _at, token in run]
        yield from ((token, True) for token in between) if divides else [("".join(between), False)]


def _groups(tokens: Sequence[str]) -> frozenset[int]:
    """Return the positions of the braces that hold choices, and of the commas between these."""
    opened: list[list[int]] = []
    found: set[int] = set()
    for at, token in enumerate(tokens):
        if token == "{":
            opened.append([at])
        elif token == "," and opened:
            opened[-1].append(at)
        elif token == "}" and opened:
            group = [*opened.pop(), at]
            if len(group) > 2:
                found.update(group)
    return frozenset(found)


def _as_choice(text: str) -> str:
    return "".join(_escaped(_TOKEN.findall(text)))


def _escaped(tokens: Iterable[str]) -> Iterator[str]:
    return (f"\\{token}" if token in ("{", "}", ",") else token for token in tokens)
