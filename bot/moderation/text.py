"""Whether words may be painted: terms by category, a tenant's own, and the one block that always holds."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from bot.i18n import _
from bot.moderation import terms
from bot.moderation.normalize import plain, readings
from bot.moderation.terms import STRICTNESS, Hit, Index, Strictness, TermGroup

MINORS = "minors"  # sexual content with minors: the hard block
LIKENESS = "likeness"  # a real person in sexual content
OWN = "own"  # a tenant's own terms

_MOST = 12_000  # characters that are read; a request has fewer


@dataclass(frozen=True, slots=True, kw_only=True)
class ModerationRules:
    """What holds where something is asked."""

    strictness: Strictness = "standard"
    adult: bool = False  # the channel is age-restricted
    blocked: tuple[str, ...] = ()  # a tenant's own terms; a * at an end stands for any letters
    allowed: tuple[str, ...] = ()  # terms that a tenant excuses; they never lift the hard block


@dataclass(frozen=True, slots=True, kw_only=True)
class TextVerdict:
    """What was found; no category when the words may be painted."""

    category: str = ""
    certain: bool = False  # it cannot well be meant otherwise: it counts as a strike
    minors: bool = False  # minors are mentioned, whatever else

    @property
    def notice(self) -> str:
        """For the person who asked: which category, and what to do."""
        return NOTICES[self.category]


NOTICES = {
    MINORS: _(
        "Easel never generates sexual content with minors; no setting allows it. Ask for something else."
    ),
    LIKENESS: _(
        "Easel never generates real people in sexual content. Leave the name out, or ask for something else."
    ),
    "sexual": _(
        "This asks for sexual content or nudity, which is not allowed here: describe it without that."
    ),
    "violence": _("This asks for violence of a kind that is not allowed here: describe it without that."),
    "hate": _(
        "This contains hateful words or symbols, which are not allowed here: describe it without them."
    ),
    "self_harm": _(
        "This is about self-harm, which is not allowed here. If it is about you, someone "
        "will listen: findahelpline.com lists who to talk to in your country."
    ),
    "people": _("This names a real person, which is not allowed here: describe someone without a name."),
    OWN: _("This contains words that the administrators do not allow here: describe it in other words."),
}


@dataclass(frozen=True, slots=True)
class _Found:
    """The groups whose terms stand in a text."""

    groups: frozenset[TermGroup]  # not excused by an ordinary expression or by the tenant
    all: frozenset[TermGroup]  # not excused by an expression that cannot mean a person
    age: bool  # under 18

    def has(self, category: str, *names: str) -> bool:
        return any(group.category == category and group.name in names for group in self.all)

    @property
    def sexual(self) -> bool:
        return any(group.with_minors for group in self.all)


def judge(
    words: Iterable[str], negative: Iterable[str] = (), rules: ModerationRules | None = None
) -> TextVerdict:
    """Judge a request: `words` are everything it asks for, `negative` everything to keep out of it."""
    rules = rules or ModerationRules()
    # Each once: "x", three times, would be read as a word.
    asked = _search(" | ".join(dict.fromkeys(words)), rules)
    avoided = _search(" | ".join(negative), rules)
    minors = asked.age or asked.has("minors", "certain", "likely")
    if hard := _hard(asked, avoided):
        return hard
    if asked.sexual and any(group.category == "people" for group in asked.groups):
        return TextVerdict(category=LIKENESS, certain=True, minors=minors)
    suspects = asked.groups | {group for group in avoided.groups if not group.wished_away}
    refused = [group for group in suspects if _refused(group, rules)]
    worst = _worst(refused)
    return TextVerdict(
        category=worst.category if worst else "", certain=bool(worst and worst.certain), minors=minors
    )


def _hard(asked: _Found, avoided: _Found) -> TextVerdict | None:
    """Judge sexual content with minors, whatever a tenant allows; None where there is none.

    Keeping clothes out asks for nakedness, and keeping adults out for minors. To keep nudity out is fine.
    """
    certain = asked.age or asked.has("minors", "certain")
    minors = certain or asked.has("minors", "likely")
    indirectly = avoided.has("minors", "clothes") or avoided.has("sexual", "explicit")
    if minors and (asked.sexual or indirectly):
        return TextVerdict(category=MINORS, certain=certain and asked.sexual, minors=True)
    if asked.sexual and avoided.has("minors", "grown"):
        return TextVerdict(category=MINORS, minors=True)
    return None


def _worst(refused: Iterable[TermGroup]) -> TermGroup | None:
    """Return the group to tell the person of, always the same: with a strike first, then by the alphabet."""
    return min(refused, key=lambda group: (not group.certain, group.category), default=None)


def _refused(group: TermGroup, rules: ModerationRules) -> bool:
    if group.category == OWN:
        return True
    if group.level == "never" or (group.adult and rules.adult and rules.strictness != "strict"):
        return False
    return STRICTNESS.index(rules.strictness) >= STRICTNESS.index(group.level)


# ---- searching

_NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen zwei drei vier funf sechs sieben acht neun zehn elf zwolf dreizehn vierzehn funfzehn sechzehn "
    "siebzehn"
).split()
_UNDER_18 = rf"(?<!\d)(?:1[0-7]|[1-9]|{'|'.join(sorted(_NUMBERS, key=len, reverse=True))})"
_AGE = re.compile(
    rf"{_UNDER_18}\W{{0,3}}(?:(?:years?|yrs?|months?|y)\W{{0,3}}(?:olds?|o)\b|yo\b|jahre? alt|jahrig)"
    rf"|\b(?:aged?|im alter von)\W{{1,3}}(?:of )?{_UNDER_18}\b(?!\W?\d)"
)


def _search(text: str, rules: ModerationRules) -> _Found:
    if not text:
        return _Found(frozenset(), frozenset(), False)
    groups: set[TermGroup] = set()
    everything: set[TermGroup] = set()
    own, allowed = _own(rules)
    read = readings(text[:_MOST])
    read += (terms.known().unstarred(read[0]), own.unstarred(read[0])) if "*" in text or "#" in text else ()
    for each in read:
        words = terms.words_of(each)
        if not (hits := [*terms.known().hits(words), *own.hits(words)]):
            continue
        excuses = [*terms.excused().hits(words), *allowed.hits(words)]
        things = _reach((each for each in excuses if each.group.name == "things"), len(words))
        excused = _reach(excuses, len(words))
        everything |= {hit.group for hit in hits if hit.end > things[hit.start]}
        groups |= {hit.group for hit in hits if hit.end > excused[hit.start]}
    return _Found(frozenset(groups), frozenset(everything), any(_AGE.search(each) for each in read))


@functools.lru_cache(256)
def _own(rules: ModerationRules) -> tuple[Index, ...]:
    """Return two indexes: of the words that a tenant blocks, and of those that it allows."""
    return tuple(
        Index([TermGroup(category=OWN, name=OWN, words=tuple(filter(_readable, words)))])
        for words in (rules.blocked, rules.allowed)
    )


def _reach(excuses: Iterable[Hit], words: int) -> list[int]:
    """Return for each word where the excuses that begin by then end: terms that end by there are excused."""
    ends = [0] * words
    for each in excuses:
        ends[each.start] = max(ends[each.start], each.end)
    return list(itertools.accumulate(ends, max))


def _readable(term: str) -> bool:
    """Tell whether the term holds any letter or digit to be found by."""
    return re.search(r"[^\W_]", plain(term)) is not None
