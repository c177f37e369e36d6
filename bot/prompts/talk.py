"""Decide whether words are a request to paint, or talk.

People talk where pictures are. In a direct message and after a mention, they speak to Easel (`addressed`);
under one of its pictures, they mostly speak to each other. The rule, in its order:

1. Flags (`--ar 16:9`) are a request. Without a letter or a number in them, words are talk.
2. What is asked of Easel itself is answered: help, the quota, cancelling. Only where it is addressed.
3. Greetings, thanks, praise and asides ("thanks,", "nice one!") are left out at the beginning; where
   nothing is left, it was talk.
4. "can you draw …", "I'd like …" and "draw …" are requests. Under a picture so are changes of it: "make it
   blue", "at night", "less contrast", "#2 but wider"; not where they are about work ("put it in the deck").
5. Other questions, and sentences about something ("I like number 2", "legal must see it"), are talk.
6. What is left is a description. It is painted where Easel is addressed. Under a picture it is asked about
   where it begins as one ("a wolf"), else it is talk.

The words themselves stand in `talk.toml`. `Spoken.why` tells which step decided.
"""

from __future__ import annotations

import functools
import math
import re
import string
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import Literal

MOST = 300  # characters that are looked at

Does = Literal["paint", "ask", "talk", "help", "quota", "cancel"]
"""Paint it; ask whether it is meant to be painted; nothing; or answer what is asked of Easel itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What words are."""

    does: Does
    why: str
    words: str = ""  # what to paint, or how to change the picture
    which: str = ""  # of the pictures: a number, "last", or where it is in the grid
    expects: bool = False  # an answer, if it was said to Easel


def read(words: str, *, addressed: bool, picture: bool) -> Spoken:
    """Decide what words are: spoken to Easel or not, and about one of its pictures or not."""
    text = words[:MOST].replace("’", "'")
    found = _Talk(words, text, addressed=addressed, picture=picture).read()
    if found.does in ("ask", "talk") and _FLAG.search(text):
        return Spoken(does="paint", why="it has flags", words=found.words or words, which=found.which)
    return found


def index_of(which: str, count: int) -> int:
    """Return the 0-based index of the picture that is meant, of so many in a grid; it may not exist."""
    if which.isdecimal():
        return int(which) - 1
    columns = math.ceil(math.sqrt(count))
    row = (count - 1) // columns if "bottom" in which else 0
    match which.split()[-1:]:
        case ["last"]:
            return count - 1
        case ["right"]:
            return min(row * columns + columns, count) - 1
        case _:
            return row * columns


class _Talk:
    """Words while they are read: `at` is where what was not read yet begins."""

    def __init__(self, words: str, text: str, *, addressed: bool, picture: bool) -> None:
        self._words, self._text = words, text
        self._addressed, self._picture = addressed, picture
        self._which = ""
        self._at = 0

    def read(self) -> Spoken:
        if not re.search(r"[^\W_]", _SHORTCODE.sub("", self._text)) or _LINK.fullmatch(self._text.strip()):
            return _talk("there are no words", expects=not self._text.strip())
        if self._addressed and (asked := self._asked()):
            return asked
        self._skip("small")
        if not self._rest:
            return _talk("it is small talk", expects=_begins("greetings", self._text.lstrip()))
        return self._picture_talk() if self._picture else self._description()

    # ---- without a picture

    def _description(self) -> Spoken:
        self._skip_greeting()
        if self._skip("frame") or self._skip_ending_verb("drawing"):
            return self._paint("it asks for a picture")
        if _begins("questions", self._rest):
            return _talk("it is a question", expects=True)
        if _begins("subjects", self._rest) or _SENTENCE.match(self._rest):
            return _talk("it is a sentence")
        return self._paint("it is a description")

    # ---- under a picture

    def _picture_talk(self) -> Spoken:
        while True:
            found = self._clause_talk()
            if found.does != "talk" or not (after := _BREAK.search(self._rest)):
                return found
            self._at += after.end()
            if not _begins("changing", self._text[self._after_fillers() :]):
                return found  # only a command is looked for behind a sentence

    def _clause_talk(self) -> Spoken:
        self._at = self._after_fillers()
        varied = self._skip_which()
        clause = _BREAK.split(self._rest, maxsplit=1)[0]
        if varied and not clause:
            return Spoken(does="paint", why="it asks for variations", which=self._which)
        if not clause:
            return _talk("it only names a picture")
        if _holds("work", clause):
            return _talk("it is about work")
        if (found := self._command(clause)) or (found := self._how(clause)):
            return found
        if _begins("questions", clause):
            return _talk("it is a question", expects=True)
        if _begins("subjects", clause) or _holds("verbs", clause):
            return _talk("it is a sentence")
        if self._addressed:
            return self._paint("it is a description, to Easel")
        if self._which or _ARTICLE.match(clause):
            return self._ask("it may be a description")
        return _talk("it asks for nothing")

    def _command(self, clause: str) -> Spoken | None:
        """Read "can you make it …", "I'd like …", "make it …"."""
        if wished := _WISH.match(clause):
            self._at += wished.end()
            self._skip_which()
            sure = not clause.casefold().startswith(("how", "what", "wie"))
            return self._paint("it is a wish") if sure else self._ask("it may be a wish")
        asked = _POLITE.match(clause)
        if asked and self._ends_with_verb(clause):
            self._at += asked.end()
            return self._paint("it asks for a change")
        verb = _CHANGING.match(clause, asked.end() if asked else 0)
        if not verb or _IDLE.match(clause, verb.start()):
            return None
        self._at += verb.start()
        return self._paint("it asks for a change")

    def _how(self, clause: str) -> Spoken | None:
        """Read how the picture shall be: "at night", "a bit darker"."""
        said = _begins("changes", clause) or _COMPARED.fullmatch(clause)
        if not said or _SUBJECT_INSIDE.search(clause):
            return None
        if self._text.rstrip().endswith("?") or _holds("verbs", clause):
            return self._ask("it may be a change")
        return self._paint("it says how")

    # ---- parts

    @property
    def _rest(self) -> str:
        return self._text[self._at :]

    def _paint(self, why: str) -> Spoken:
        return Spoken(does="paint", why=why, words=self._left(), which=self._which)

    def _ask(self, why: str) -> Spoken:
        return Spoken(does="ask", why=why, words=self._left(), which=self._which)

    def _left(self) -> str:
        """Return what is to be painted: what was not read, without courtesies at its end."""
        return _COURTESY.sub("", _trimmed(self._words[self._at :])) or self._words

    def _asked(self) -> Spoken | None:
        plain = self._text.strip().strip("?!. ")
        names: tuple[Does, ...] = ("help", "quota", "cancel")
        for name in names:
            if _asks(name).fullmatch(plain):
                return Spoken(does=name, why="it is asked of Easel")
        return None

    def _skip(self, kind: Literal["small", "frame"]) -> bool:
        pattern, before = (_SMALL if kind == "small" else _FRAME), self._at
        while found := pattern.match(self._text, self._at):
            self._at = found.end()
        return self._at > before

    def _skip_greeting(self) -> None:
        """Leave out "hello" before a request without a comma between them."""
        found = _GREETING.match(self._rest)
        if found and (_FRAME.match(self._rest, found.end()) or _POLITE.match(self._rest, found.end())):
            self._at += found.end()

    def _skip_ending_verb(self, name: str) -> bool:
        """Read "kannst du einen Leuchtturm zeichnen": in German, the verb stands at the end."""
        asked = _POLITE.match(self._rest)
        if not (asked and self._ends_with_verb(self._rest, name)) or len(self._words) > MOST:
            return False
        self._at += asked.end()
        self._words = re.sub(r"(?<!\s)\s++\w++\W*+\Z", "", self._words)
        return True

    def _ends_with_verb(self, clause: str, name: str = "changing") -> bool:
        last = clause.rstrip(" ?.!").split()[-1]
        return bool(re.search(r"(en|rn)\Z", last)) and bool(_of(name).fullmatch(last))

    def _after_fillers(self) -> int:
        found = _FILLED.match(self._text, self._at)
        return found.end() if found else self._at

    def _skip_which(self) -> bool:
        """Read which picture is meant: "take number 3 and", "#2". Return whether variations of it are."""
        found = _WHICH.match(self._rest)
        if not found:
            return False
        named = found["number"] or found["digit"] or found["place"]
        self._which = named if named.isdecimal() else _place(named)
        self._at += found.end()
        self._at = self._after_fillers()
        return (found["verb"] or "").casefold().startswith("varia")


def _talk(why: str, *, expects: bool = False) -> Spoken:
    return Spoken(does="talk", why=why, expects=expects)


# --- patterns ---------------------------------------------------------------------------------------------


def _trimmed(words: str) -> str:
    return words.lstrip().rstrip(f"{string.whitespace},?!")


@functools.cache
def _lists() -> dict[str, dict[str, list[str]]]:
    text = resources.files(__package__).joinpath("talk.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _any(*names: str) -> str:
    return _either(entry for name in names for entry in _lists()["words"][name])


def _either(entries: Iterable[str]) -> str:
    spaced = (entry.replace("(", "(?:").replace("(?:?", "(?").replace(" ", r"\s+") for entry in entries)
    return f"(?:{'|'.join(spaced)})"


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


@functools.cache
def _of(name: str) -> re.Pattern[str]:
    return _compiled(_any(name))


@functools.cache
def _first(name: str) -> re.Pattern[str]:
    return _compiled(rf"{_any(name)}(?![\w'-])")


@functools.cache
def _inside(name: str) -> re.Pattern[str]:
    return _compiled(rf"(?<![\w'-]){_any(name)}(?![\w'-])")


@functools.cache
def _asks(name: str) -> re.Pattern[str]:
    return _compiled(_either(_lists()["asks"][name]))


def _begins(name: str, text: str) -> bool:
    return bool(_first(name).match(text))


def _holds(name: str, text: str) -> bool:
    return bool(_inside(name).search(text))


@functools.cache
def _places() -> dict[str, re.Pattern[str]]:
    return {name: _compiled(_either(entries)) for name, entries in _lists()["which"].items()}


def _place(named: str) -> str:
    return next(name for name, pattern in _places().items() if pattern.fullmatch(named))


_EMOJI = r"[\u2190-\u2bff\ufe0f\u200d\U0001f000-\U0001faff]"
# Possessive, and never begun inside a run that has been tried: a long run of spaces or signs is read once.
_STOP = rf"\s*+(?:(?<![,.!?;:…)])[,.!?;:…)]++(?=\s|\Z)|(?<=\s)[–—-]++(?=\s)|{_EMOJI}|:[a-z0-9_+-]+:)"
_END = rf"(?:{_STOP}\s*+|\s*+\Z)"
_ITEM = (
    r"(?:an?|the|some|my|our|your|one|two|three|four|five|six|(?<!\d)\d++|zwei|drei|vier|fünf|"
    r"eine?[nmrs]?|de[rnm]|die|das|meine?n?|unsere?n?)"
)
_PRONOUN = r"(?:it|this|that|them|one|es|das|sie|ihn|dies)"

_FLAG = re.compile(r"(?<!\S)(?:--|[—–])[a-z]", re.IGNORECASE)
_LINK = re.compile(r"<?https?://\S+", re.IGNORECASE)
_SHORTCODE = re.compile(r":[a-z0-9_+-]+:", re.IGNORECASE)
_BREAK = _compiled(rf"(?<!\s){_STOP}\s*+")
_COURTESY = _compiled(r"(?<![\s,])[\s,]++(?:please|pls|plz|bitte)\Z")
_SMALL = _compiled(
    rf"(?<!\s)(?:{_STOP}|\s*+(?:{_any('greetings', 'thanks', 'praise', 'asides')}"
    rf"(?:\s+{_any('after')})*{_END}|{_any('after')}{_END}))"
)
_GREETING = _compiled(rf"{_any('greetings')}(?:\s+(?:easel|bot))?\s+")
_FILLED = _compiled(rf"(?:(?:{_any('fillers')})(?![\w'-])[\s,]*)*")
_POLITE = _compiled(rf"{_any('polite')}\s+(?:{_any('fillers')}\s+)*")
_WISH = _compiled(rf"{_any('wishes')}\s+(?!(?:to|zu)\s)")
_FRAME = _compiled(
    rf"(?:{_any('fillers')}[\s,]+)*(?:"
    rf"(?:{_any('polite')}\s+)?(?:{_any('fillers')}\s+)*{_any('drawing')}(?:\s+(?:me|us|mir|uns|bitte|please))*\s+(?={_ITEM}\s)"
    rf"|{_any('wishes')}\s+(?={_ITEM}\s|\w+\s+{_ITEM}\s|something|more))"
)
_SENTENCE = _compiled(rf"(?:my|our|your|meine?|unsere?|the|der|die|das)\s+\w+\s+{_any('verbs')}(?![\w'-])")
_ARTICLE = _compiled(rf"{_ITEM}\s+\w")
_CHANGING = _compiled(rf"(?:{_any('fillers')}\s+)*{_any('changing')}(?=\s+\S)")
_IDLE = _compiled(  # "keep it", "use this for …", "add me to …", "let me …", "change of …"
    rf"(?<!\w)\w++\s++(?:{_PRONOUN}\s*\Z|(?:it|this|that|das|es)\s+(?:to|for|für|an|erst)\s|(?:me|us)\s+(?:to|from|know|\w+\s*\Z)|of\s)"
    r"|(?:let|lass)\s+(?:me|us|uns|mich)\s|(?:let's)\s"
)
_COMPARED = _compiled(
    rf"(?:(?:much|even|far|slightly|noch|viel|etwas|ein\s+bisschen)\s+)*{_any('comparatives')}e?r(?:e[nrms]?)?(?:\s+[\w-]+){{0,2}}"
)
_SUBJECT_INSIDE = _compiled(
    rf"\s(?:i|we|you|it|they|this|that|ich|wir|es|du|man)\s+{_any('verbs')}(?![\w'-])"
)
_ANY_PLACE = _either(entry for entries in _lists()["which"].values() for entry in entries)
_WHICH = _compiled(
    r"(?P<verb>(?:take|use|pick|do|try|nimm|variations?\s+of|varianten?\s+von|with|for)\s+)?"
    r"(?:the\s+|das\s+|die\s+|den\s+|dem\s+|der\s+)?"
    r"(?:(?:#\s*|(?:number|no\.?|nr\.?|nummer|picture|image|bild)\s+#?)(?P<number>\d{1,2})\b"
    rf"|(?P<place>{_ANY_PLACE})\b(?:\s+(?:one|picture|image|bild|eine?))?"
    r"|(?P<digit>\d{1,2})(?=\s+(?:in|as|but|with|at|als|mit|aber|bei|im)\b))"
    rf"(?:{_STOP}\s*|\s+|\Z)"
)
