"""`python -m tests.redteam [dev|test] [--wrong]`: what moderation catches, and what it refuses wrongly."""

from __future__ import annotations

import argparse
import sys

from tests.redteam.measure import HALVES, Score, false_positives, recall


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.redteam", description=__doc__)
    parser.add_argument("half", nargs="?", choices=HALVES, default="test")
    parser.add_argument("--wrong", action="store_true", help="name the lines that were judged wrongly")
    said = parser.parse_args()
    by_category, good = recall(said.half), false_positives(said.half)
    sections = {"recall": by_category, "recall by disguise": recall(said.half, "disguise")}
    lines = [line for title, scores in sections.items() for line in _table(title, scores)]
    lines += ["", f"false positives  {good.refused} of {good.lines} ({good.rate:.1%})"]
    if said.wrong:
        lines += ["", *(each for score in by_category.values() for each in score.wrong), *good.wrong]
    sys.stdout.write("\n".join(lines) + "\n")


def _table(title: str, scores: dict[str, Score]) -> list[str]:
    total = Score(sum(s.refused for s in scores.values()), sum(s.lines for s in scores.values()))
    return ["", title, *(_line(name, score) for name, score in (*scores.items(), ("all", total)))]


def _line(name: str, score: Score) -> str:
    return f"  {name:<20} {score.refused:>4} of {score.lines:>4}  {score.rate:>6.1%}"


if __name__ == "__main__":
    main()
