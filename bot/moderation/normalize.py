"""List what a disguised text can be read as: lower-case words, one reading for each way to undo a disguise.

All readings undo compatibility forms (fullwidth, mathematical, circled letters), accents, invisible
characters, look-alikes of other scripts, letters in boxes and flags. Further readings undo digits and signs
for letters, drawn-out letters, words that are split, words between direction overrides.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

from confusable_homoglyphs.confusables import confusables_data

LETTER = r"[^\W\d_]"

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Mn", "Me"})
_BLANKS = frozenset("\u115f\u1160\u3164\uffa0\u2800")  # letters and signs that show nothing
_LATIN = re.compile(r"[a-z]")
_ALSO_ALIKE = {"п": "n", "и": "u", "ŋ": "n", "ß": "ss", "υ": "u", "η": "n", "ε": "e", "я": "r", "ѳ": "o"}

_LEET = str.maketrans("0134578@$!€£+(", "oieastbasieltc")
_SIGNS = "".join(map(chr, _LEET))
_DISGUISED = re.compile(rf"[a-z][{re.escape(_SIGNS)}|]|[{re.escape(_SIGNS)}|][a-z]")

_SIGN = r"[^\W_]"
_SPELLED = re.compile(rf"(?<!{_SIGN}){_SIGN}(?:[\W_]{{1,3}}{_SIGN}(?!{_SIGN})){{2,39}}")
_SPELLED_OUT = 12  # rows of letters that are looked at, which bounds the time that a text can take
_PART_LENGTHS = range(4, 10)
_INSIDE = re.compile(rf"(?<={_SIGN})(?:[^\w\s]+|_+)(?={_SIGN})")
_DRAWN_OUT = re.compile(r"(.)\1{2,}")
_RUN = re.compile(r"(.)\1+")
_ALL_DOUBLED = re.compile(rf"(?<!{LETTER})(?:({LETTER})\1++){{2,}}+(?!{LETTER})")
_OVERRIDDEN = re.compile("[\u202e\u2067]([^\u202c\u2069\n]*)")


@functools.cache
def _words() -> frozenset[str]:
    """Load the short words that stand alone; other short neighbours may be the two halves of one word."""
    return frozenset(
        (Path(__file__).parent / "lists" / "short_words.txt").read_text(encoding="utf-8").split()
    )


def plain(text: str) -> str:
    """Convert text to lower case, in Latin letters where possible, without accents and invisible marks."""
    seen = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text))
    kept = "".join(map(_letter, seen))
    return unicodedata.normalize("NFKC", kept).casefold()


@functools.lru_cache(8192)
def _letter(character: str) -> str:
    if character.isascii():
        return character.casefold() if character.isprintable() else " " if character.isspace() else ""
    if character in _BLANKS or unicodedata.category(character) in _UNSEEN:
        return ""
    lower = character.casefold()
    return _alike(lower) or _alike(character) or lower


def _alike(character: str) -> str:
    """Return the Latin letter that a character looks like, or an empty text."""
    if character in _ALSO_ALIKE:
        return _ALSO_ALIKE[character]
    for twin in confusables_data.get(character, ()):
        if _LATIN.fullmatch(letter := str(twin["c"]).casefold()):
            return letter
    return _named(unicodedata.name(character, "")) if len(character) == 1 else ""


def _named(name: str) -> str:
    """Return the letter in a character's name: "SQUARED LATIN CAPITAL LETTER N" → "n"; else an empty text."""
    *before, letter = name.partition(" WITH ")[0].split(" ")
    kind = set(before[: before.index("LETTER")]) if "LETTER" in before else set()
    is_one = len(letter) == 1 and letter.isalpha() and kind & {"LATIN", "SYMBOL"}
    return letter.casefold() if is_one else ""


def readings(text: str) -> tuple[str, ...]:
    """Return all readings of the text, the plain one first; the others may hold nonsense too."""
    found = dict.fromkeys([plain(text), *map(plain, _reversed(text))])
    for undo in (_join_pairs, _join, _leet("i"), _leet("l"), _shorten(2), _shorten(1)):
        found |= dict.fromkeys([undo(each) for each in found])
    return tuple(found)


def _reversed(text: str) -> Iterator[str]:
    if any(mark in text for mark in "\u202e\u2067"):
        yield _OVERRIDDEN.sub(lambda part: f" {part[1][::-1]} ", text)


def _join(text: str) -> str:
    """Join the parts of split words: "nu-de" → "nude", and also "n u d e"."""
    return _INSIDE.sub("", _SPELLED.sub(_spelled, text, count=_SPELLED_OUT))


def _spelled(found: re.Match[str]) -> str:
    """Return the words that a row of single letters may hold: split at other gaps, joined, and all parts."""
    between = re.findall(r"[\W_]+", found[0])
    glue = max(between, key=between.count)
    letters = found[0][0] + "".join(
        ("" if gap == glue else " ") + letter
        for gap, letter in zip(between, re.findall(_SIGN, found[0][1:]), strict=True)
    )
    words, whole = letters.split(), letters.replace(" ", "")
    parts = {whole[start : start + length] for start in range(len(whole)) for length in _PART_LENGTHS}
    return " | ".join((*words, whole, *sorted(parts)))


def _join_pairs(text: str) -> str:
    """Append short neighbours joined, if both are no words of their own: "nude" after "nu de"."""
    words = re.findall(f"{_SIGN}+", text)
    halves = [
        first + second
        for first, second in itertools.pairwise(words)
        if len(first) <= 4
        and len(second) <= 4
        and len(first + second) <= 7
        and not {first, second} & _words()
    ]
    return f"{text} | {' | '.join(halves)}" if halves else text


def _leet(one: str) -> Callable[[str], str]:
    table = _LEET | {ord("1"): one, ord("|"): one}

    def undo(text: str) -> str:
        words = (word.translate(table) if _DISGUISED.search(word) else word for word in text.split(" "))
        return " ".join(words)

    return undo


def _shorten(length: int) -> Callable[[str], str]:
    """Return a function that cuts drawn-out letters to `length`, and doubled ones to one or by half."""

    def undo(text: str) -> str:
        text = _ALL_DOUBLED.sub(lambda word: _RUN.sub(shorter, word[0]), text)
        return _DRAWN_OUT.sub(lambda run: run[1] * length, text)

    def shorter(run: re.Match[str]) -> str:
        return run[1] if length == 1 else run[0][: len(run[0]) // 2]

    return undo
