"""Recall and false positives of moderation, by category, on one half of the corpus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bot.moderation import LIKENESS, MINORS, ModerationRules, judge

HERE = Path(__file__).parent
HALVES = ("dev", "test")

ALSO = {LIKENESS: {MINORS}, "sexual": {LIKENESS}, "people": {LIKENESS}}
"""Refused for something worse counts too."""


@dataclass(slots=True)
class Score:
    """How many of the lines were refused, and which were judged wrongly."""

    refused: int = 0
    lines: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return self.refused / self.lines if self.lines else 0.0


def bad(half: str) -> Iterator[tuple[str, str, str, str]]:
    """Category, disguise, prompt and negative prompt of each line to refuse."""
    for line in (HERE / "bad.tsv").read_text(encoding="utf-8").split("\n"):
        if line.startswith(f"{half}\t"):
            _, category, disguise, prompt, negative = line.split("\t")
            yield category, disguise, prompt, negative


def good(half: str) -> Iterator[tuple[str, str]]:
    """Prompt and negative prompt of each line to paint."""
    lines = (HERE / "good.txt").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line and not line.startswith("#")]
    for line in kept[HALVES.index(half) :: 2]:
        prompt, _, negative = line.partition(" --no ")
        yield prompt, negative


def recall(half: str, by: str = "category") -> dict[str, Score]:
    """Of the lines to refuse, by "category" or by "disguise"; refused for another reason counts as missed."""
    scores: dict[str, Score] = {}
    for category, disguise, prompt, negative in bad(half):
        score = scores.setdefault(category if by == "category" else disguise, Score())
        verdict = judge([prompt], [negative])
        score.lines += 1
        if verdict.category in {category} | ALSO.get(category, set()):
            score.refused += 1
        else:
            score.wrong.append(
                f"{category}, {disguise}: {prompt} | {negative} → {verdict.category or 'painted'}"
            )
    return scores


def false_positives(half: str, rules: ModerationRules | None = None) -> Score:
    """Of the lines to paint."""
    score = Score()
    for prompt, negative in good(half):
        verdict = judge([prompt], [negative], rules)
        score.lines += 1
        if verdict.category:
            score.refused += 1
            score.wrong.append(f"{prompt} | {negative} → {verdict.category}")
    return score
