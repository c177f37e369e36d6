"""Words that go back in a conversation about a picture: "undo", "back to the second and make it green".

English, German and French. What follows behind "and" or a comma is asked of the picture that is gone back to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MOST = 300  # characters that are looked at

_NUMBERS: dict[int, str] = {
    1: "first|1st|original|start|beginning|ersten|anfang|première?|premier|début",
    2: "second|2nd|zweiten|deuxième|seconde?",
    3: "third|3rd|dritten|troisième",
    4: "fourth|4th|vierten|quatrième",
    5: "fifth|5th|fünften|cinquième",
    6: "sixth|6th|sechsten|sixième",
}
_UNDO = (
    r"(?:please |bitte )?(?:"
    r"(?:undo|revert)(?: (?:that|this|it|the last (?:change|edit|one)))?|(?:go )?one (?:step )?back|"
    r"(?:mach(?:e)? (?:das|es) )?rückgängig(?: machen)?|einen schritt zurück|"
    r"annule[rz]?(?: (?:ça|cela|la dernière))?|reviens en arrière"
    r")(?:,? please|,? bitte)?"
)
_BACK = (
    r"(?:please |bitte )?"
    r"(?:(?:go |take it )?back to|(?:geh )?zurück zu[mr]?|(?:retour|retourne|reviens) (?:à|au|a))"
    rf" (?:the |la |le |l['’])?(?P<which>{'|'.join(_NUMBERS.values())}|(?:number |nummer |numéro )?\d{{1,2}})"
    r"(?: (?:one|version|picture|image|edit|bild))?"
)
_PATTERN = re.compile(
    rf"(?:{_UNDO}|{_BACK})(?:[\s.!]*|(?:,| and| und| et| then| dann)+ (?P<rest>\S.*))",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Back:
    """Where to go back to: one step, or the turn of that number, from 1; and what to do there."""

    number: int | None = None
    rest: str = ""


def read(words: str) -> Back | None:
    """Return where words go back to; None where they do not."""
    found = _PATTERN.fullmatch(words.strip()) if len(words) <= _MOST else None
    if found is None:
        return None
    return Back(_number(found["which"]), (found["rest"] or "").strip())


def _number(which: str | None) -> int | None:
    if which is None:
        return None
    if digits := re.search(r"\d{1,2}\Z", which):
        return int(digits[0])
    return next(n for n, names in _NUMBERS.items() if re.fullmatch(names, which, re.IGNORECASE))
