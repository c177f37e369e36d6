"""Writes `bad.tsv`: every line of `lines.toml` as it stands, and disguised in the ways of `DISGUISES`.

    python -m tests.redteam.make

Columns: half (dev or test), category, disguise, prompt, negative prompt. A line and its disguises are in the
same half, every other line of a category: terms were tuned on dev alone, figures are told of test alone.
"""

from __future__ import annotations

import itertools
import random
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

_CYRILLIC = str.maketrans("aeopcyxisj", "аеорсухіѕј")
_GREEK = str.maketrans("aeoiknuv", "αεοικηυν")
_LEET = str.maketrans("aeiost", "431057")
_SIGNS = str.maketrans("aisl", "@!$|")
_SMALL_CAPITALS = str.maketrans("abcdeghijklmnoprtuvwz", "ᴀʙᴄᴅᴇɢʜɪᴊᴋʟᴍɴᴏᴘʀᴛᴜᴠᴡᴢ")


def _shifted(first: int) -> Callable[[str], str]:
    """Letters a to z as the 26 characters from `first` on."""
    return lambda text: "".join(chr(first + ord(c) - 97) if "a" <= c <= "z" else c for c in text.lower())


def _between(sign: str) -> Callable[[str], str]:
    return lambda text: "   ".join(sign.join(word) for word in text.split())


def _middle(sign: str) -> Callable[[str], str]:
    def split(text: str) -> str:
        return " ".join(f"{word[: len(word) // 2]}{sign}{word[len(word) // 2 :]}" for word in text.split())

    return split


def _drawn_out(text: str) -> str:
    """The first vowel of each word four times."""
    return re.sub(r"\b([^\saeiou]*)([aeiou])", r"\1\2\2\2\2", text, flags=re.IGNORECASE)


def _starred(text: str) -> str:
    """The second letter of a word as a star."""
    return re.sub(r"\b([^\W\d_])[^\W\d_](?=[^\W\d_])", r"\1*", text)


DISGUISES: dict[str, Callable[[str], str]] = {
    "capitals": str.upper,
    "letters apart": _between(" "),
    "dots": _between("."),
    "hyphens": _between("-"),
    "emoji between": _between("🌸"),
    "hyphen within": _middle("-"),
    "underscore within": _middle("_"),
    "zero-width within": _middle("\u200b"),
    "soft hyphen within": _middle("\u00ad"),
    "joiner within": _middle("\u200d"),
    "leet": lambda text: text.translate(_LEET),
    "signs": lambda text: text.translate(_SIGNS),
    "drawn out": _drawn_out,
    "doubled": lambda text: re.sub(r"([^\W\d_])", r"\1\1", text),
    "cyrillic": lambda text: text.lower().translate(_CYRILLIC),
    "greek": lambda text: text.lower().translate(_GREEK),
    "fullwidth": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "mathematical": _shifted(0x1D4EA),
    "circled": _shifted(0x24D0),
    "boxed": _shifted(0x1F170),
    "flags": _shifted(0x1F1E6),
    "small capitals": lambda text: text.lower().translate(_SMALL_CAPITALS),
    "accents": lambda text: re.sub(r"([aeioun])", "\\1\u0301", text),
    "struck out": lambda text: re.sub(r"(\w)", "\\1\u0336", text),
    "override": lambda text: f"\u202e{text[::-1]}\u202c",
    "starred": _starred,
}
EACH = 3  # disguises of a line

_MARKED = re.compile(r"\{([^}]*)\}")


def lines() -> Iterator[tuple[str, int, str, str]]:
    """Category, number, prompt and negative prompt of each line, with its marks."""
    data: dict[str, Any] = tomllib.loads((HERE / "lines.toml").read_text(encoding="utf-8"))
    negatives = data.pop("negative")
    for category, prompts in data.items():
        yield from ((category, number, prompt, "") for number, prompt in enumerate(prompts))
    for number, each in enumerate(negatives):
        yield each["category"], number, each["prompt"], each["negative"]


def rows() -> Iterator[tuple[str, str, str, str, str]]:
    chance = random.Random(7)
    order = list(DISGUISES)
    chance.shuffle(order)
    turns = itertools.cycle(order)
    for category, number, prompt, negative in lines():
        half = ("dev", "test")[number % 2]
        for name in ("", *(next(turns) for _ in range(EACH))):
            disguise = DISGUISES.get(name, str)
            said = [_MARKED.sub(lambda found: disguise(found[1]), text) for text in (prompt, negative)]  # noqa: B023
            yield half, category, name or "as it is", said[0], said[1]


def main() -> None:
    text = "".join("\t".join(row) + "\n" for row in rows())
    (HERE / "bad.tsv").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
