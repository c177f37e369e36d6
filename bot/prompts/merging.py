"""An instruction put into the prompt of the picture that it changes, for models that take no instructions.

"make the cup red" on "a cup on a table" → "a red cup on a table". What no rule understands is added behind
the prompt. English, German and French; every pattern is read once from the left.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_COLOURS = frozenset(
    "red green blue yellow orange purple violet pink brown black white grey gray golden silver turquoise "
    "rot grün blau gelb lila violett rosa braun schwarz weiß grau golden silbern türkis "
    "rouge vert verte bleu bleue jaune violet violette rose marron noir noire blanc blanche gris grise doré "
    "dorée".split()
)
_ENDING = re.compile(r"(?:e|er|es|en|em)\Z")
_ARTICLES = "the|this|that|his|her|its|their|my|an?|one|den|die|das|eine?|einen|le|la|les|ce|cette|une?"
_THE = rf"(?:(?P<the>{_ARTICLES}) |l['’])?"
_WORD = r"[^\W\d_][\w-]{0,30}"
_PHRASE = r"\S(?:[^,;.]{0,80}[^\s,;.])?"

Rule = Callable[[str, re.Match[str]], str]


def merged(prompt: str, instruction: str) -> str:
    """Return what a picture of the prompt shows once the instruction is followed."""
    words = instruction.strip().rstrip(".! ")
    for pattern, rule in _RULES:
        if (found := pattern.fullmatch(words)) and (changed := rule(prompt, found)):
            return changed
    return ", ".join(filter(None, (prompt, described(words))))


def described(words: str) -> str:
    """Return a command as a description: "make the sky orange" → "the sky orange"."""
    for command, instead in _COMMANDS:
        if found := command.match(words):
            return instead + words[found.end() :]
    return words


def understood(instruction: str) -> bool:
    """Tell whether the instruction is one of those that there are rules for."""
    words = instruction.strip().rstrip(".! ")
    return any(pattern.fullmatch(words) for pattern, _rule in _RULES) or described(words) != words


# ---- rules: each returns an empty text where the prompt does not hold what it is about


def _quality(prompt: str, found: re.Match[str]) -> str:
    """Put a quality before a noun, in the place of a colour that stands there: "the cup", "red"."""
    at = _named(prompt, found["noun"])
    if at is None:
        return ""
    quality, before = found["quality"], prompt[: at.start()].split(" ")
    if found["french"]:
        rest = prompt[at.end() :].split(" ", 2)
        if len(rest) > 1 and _is_colour(quality) and _is_colour(rest[1]):
            return " ".join([prompt[: at.end()], quality, *rest[2:]])
        return f"{prompt[: at.end()]} {quality}{prompt[at.end() :]}"
    if _is_colour(quality) and len(before) > 1 and _is_colour(before[-2]):
        del before[-2]
    article = before[-2].casefold() if len(before) > 1 else ""
    if found["german"]:
        quality += _german_ending(article, (found["the"] or "").casefold())
    if article in ("a", "an"):
        before[-2] = (
            ("An" if before[-2][0].isupper() else "an") if quality[0] in "aeiouAEIOU" else before[-2][0]
        )
    return f"{' '.join(before)}{quality} {prompt[at.start() :]}"


def _german_ending(article: str, the: str) -> str:
    if article == "ein":
        return "es" if the == "das" else "er"
    return "en" if article in ("einen", "den", "dem", "einem", "einer") else "e"


def _replaced(prompt: str, found: re.Match[str]) -> str:
    at = _named(prompt, found["noun"], article=True)
    return f"{prompt[: at.start()]}{found['other']}{prompt[at.end() :]}" if at else ""


def _removed(prompt: str, found: re.Match[str]) -> str:
    """Leave out a part of the prompt that begins with "with", "and" or a comma."""
    joined = r"(?:, | (?:with|and|wearing|mit|und|avec|et) )"
    noun, the = re.escape(found["noun"]), f"(?:(?:{_ARTICLES}) )?"
    pattern = re.compile(rf"{joined}{the}(?:{_WORD} ){{0,2}}{noun}(?=[\s,.;]|\Z)", re.IGNORECASE)
    at = pattern.search(prompt)
    return prompt[: at.start()] + prompt[at.end() :] if at and at.start() else ""


def _added(prompt: str, found: re.Match[str]) -> str:
    joint = {"add": "with", "füge": "mit", "ajoute": "avec"}[found["verb"].casefold()]
    return f"{prompt}, {joint} {found['other']}" if prompt else ""


def _turned(prompt: str, found: re.Match[str]) -> str:
    """Return the prompt in another time or weather: "turn it to winter"."""
    return f"{prompt}, in {found['other']}" if prompt else ""


def _named(prompt: str, noun: str, *, article: bool = False) -> re.Match[str] | None:
    before = r"(?:(?:the|an?|one|ein|eine|einen|der|die|das|den|le|la|les|une?) )?" if article else ""
    pattern = rf"(?<![\w-]){before}(?:{re.escape(noun)})(?![\w-])"
    return re.search(pattern, prompt, re.IGNORECASE)


def _is_colour(word: str) -> bool:
    plain = word.casefold()
    return plain in _COLOURS or _ENDING.sub("", plain) in _COLOURS


def _rule(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_SEASONS = (
    r"(?P<other>winter|spring|summer|autumn|fall|the night|the evening|the rain|the fog|the snow|sunset|"
    r"black and white)"
)
_GERMAN, _FRENCH = r"(?P<german>(?!))?", r"(?P<french>(?!))?"  # groups that a pattern does not have
_NOUN = rf"{_THE}(?P<noun>{_WORD})"
_NOUNS = rf"{_THE}(?P<noun>{_WORD}(?: {_WORD}){{0,2}})"
_SOME = rf"{_THE}(?P<noun>{_WORD}(?: {_WORD})?)"
_QUALITY, _OTHER = rf"(?P<quality>{_WORD})", rf"(?P<other>{_PHRASE})"
_COLOUR = rf"(?P<quality>{'|'.join(sorted(_COLOURS))})"
_IT = "(?:it|this|that|the (?:picture|image|scene))"
_TAKE = "(?:remove|erase|delete|drop|entferne|lösche|enlève|supprime|retire)"
_RULES: tuple[tuple[re.Pattern[str], Rule], ...] = (
    (_rule(rf"(?:make|turn|paint|colou?r) (?!it |this ){_SOME} {_QUALITY}{_GERMAN}{_FRENCH}"), _quality),
    (_rule(rf"change {_SOME} to {_COLOUR}{_GERMAN}{_FRENCH}"), _quality),
    (_rule(rf"(?P<german>mach|mache|färbe|male) {_NOUN} {_QUALITY}{_FRENCH}"), _quality),
    (_rule(rf"(?P<french>rends?|fais|colorie|peins) {_NOUN} (?:en )?{_QUALITY}{_GERMAN}"), _quality),
    (_rule(rf"(?:replace|swap|change|exchange) {_NOUNS} (?:by|with|for|to|into) {_OTHER}"), _replaced),
    (_rule(rf"turn (?!it |this ){_NOUNS} into {_OTHER}"), _replaced),
    (_rule(rf"(?:ersetze?|tausche?) {_NOUN} (?:durch|gegen) {_OTHER}"), _replaced),
    (_rule(rf"remplace {_NOUN} par {_OTHER}"), _replaced),
    (_rule(rf"{_TAKE} {_NOUNS}"), _removed),
    (_rule(rf"(?P<verb>add) {_OTHER}"), _added),
    (_rule(rf"(?P<verb>füge) {_OTHER} hinzu"), _added),
    (_rule(rf"(?P<verb>ajoute) {_OTHER}"), _added),
    (_rule(rf"(?:turn|change|make) {_IT} (?:in)?to {_SEASONS}"), _turned),
)  # fmt: skip
_COMMANDS = tuple(
    (re.compile(command, re.IGNORECASE), instead)
    for command, instead in (
        (r"(?:make|machen?|mach) (?:it|this|that|him|her|them|es|das|sie|ihn) ", ""),
        (r"(?:make|machen?|mach) ", ""),
        (r"(?:rends?|fais)(?:-(?:le|la|les))? ", ""),
        (r"(?:add|include|insert) ", "with "),
        (r"(?:ajoute) ", "avec "),
        (r"give (?:it|him|her|them) ", "with "),
        (r"(?:remove|erase|drop) ", "without "),
        (r"(?:entferne|lösche) ", "ohne "),
        (r"(?:enlève|supprime|retire) ", "sans "),
        (r"(?:turn|convert|transform) (?:it|this|that) (?:in)?to ", "as "),
    )
)
