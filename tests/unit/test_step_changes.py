"""Calls whose weights are not on the card wait for a change that pays: few changes, no long waits."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from engine.scheduling.residency import Residency
from engine.scheduling.step_order import STAY, StepOrder

PACE = 10.0  # bytes a second


@dataclass(eq=False)
class Part:
    name: str
    size: int
    fixed: bool = False

    def bring(self) -> None: ...

    def drop(self) -> None: ...


@dataclass(eq=False)
class Walk:
    """A request: one pass at an encoder, some at a denoiser, one at a decoder."""

    user: tuple[str, float]
    needs: list[Part]  # of the passes that are left
    turn: tuple[int, int]
    tenant: tuple[str, float] = ("t", 1.0)
    rows: int = 1
    most_rows: int = 4
    relaxed: bool = False
    used: float = 0.0

    @property
    def key(self) -> str:
        return self.needs[0].name


class Card:
    """A card, the passes on it, and what they and the changes took."""

    def __init__(self, memory: int) -> None:
        self.residency: Residency[Part] = Residency(memory)
        self.order: StepOrder[Walk] = StepOrder(self.seconds, change=self.change)
        self.inside: list[Walk] = []
        self.working = self.changing = 0.0
        self.changes: list[str] = []

    def seconds(self, key: object, rows: int) -> float:
        return 0.05 + 0.05 * rows

    def change(self, walk: Walk) -> float:
        leaving = self.residency.leaving(walk.needs[0])
        if not {each.needs[0] for each in self.inside} & set(leaving):
            return 0.0
        return (walk.needs[0].size + sum(each.size for each in leaving)) / PACE

    def add(self, walk: Walk) -> None:
        self.inside.append(walk)
        self.order.add(walk)

    def turn(self) -> tuple[list[Walk], float]:
        batch = self.order.pick()
        part = batch[0].needs[0]
        if self.change(batch[0]):
            self.changes.append(part.name)
            self.changing += self.change(batch[0])
        self.residency.bring(part)
        seconds = self.seconds(part.name, len(batch))
        self.order.charge(batch, seconds)
        self.working += seconds
        for walk in batch:
            walk.needs.pop(0)
            if not walk.needs:
                self.order.remove(walk)
                self.inside.remove(walk)
        return batch, seconds


def models(number: int) -> list[tuple[Part, Part, Part]]:
    return [(Part(f"encoder {n}", 8), Part(f"denoiser {n}", 12), Part(f"vae {n}", 1)) for n in range(number)]


@pytest.mark.parametrize("seed", range(60))
def test_changes_are_few_and_nobody_is_passed_for_long(seed: int) -> None:
    rnd = random.Random(seed)
    made = models(rnd.randint(1, 4))
    largest = (8 + 12 + 12 + 1) / PACE
    card = Card(rnd.choice([13, 21, 26]))
    arrivals = sorted(rnd.uniform(0, 60) * rnd.choice([0, 1]) for _ in range(50))
    longest, waiting, ended, number = 0.0, 0.0, 0, 0
    while arrivals or card.inside:
        while arrivals and (arrivals[0] <= card.working or not card.inside):
            arrivals.pop(0)
            encoder, denoiser, vae = rnd.choice(made)
            number += 1
            user = f"u{rnd.randrange(8)}", rnd.choice([1.0, 1.0, 2.0])
            card.add(Walk(user, [encoder, *[denoiser] * rnd.randint(2, 20), vae], (number, 0)))
        first = card.order._descend(card.order._fast, set(), None)
        batch, seconds = card.turn()
        waiting = 0.0 if first in batch else waiting + seconds
        longest = max(longest, waiting)
        ended += sum(not walk.needs for walk in batch)
    assert ended == 50
    passes = card.seconds("", 4)
    assert longest <= STAY * largest + passes, "whoever leads is passed for so long at most"
    assert card.changing <= card.working / STAY


def test_six_prompts_share_one_change() -> None:
    ((encoder, denoiser, vae),) = models(1)
    card = Card(13)
    painter = Walk(("painter", 1.0), [encoder, *[denoiser] * 100, vae], (0, 0))
    card.add(painter)
    for _ in range(3):
        card.turn()
    card.changes.clear()
    for number in range(1, 7):
        card.add(Walk((f"u{number}", 1.0), [encoder, denoiser, denoiser, vae], (number, 0)))
    began = card.working
    while not card.changes:
        card.turn()
    assert card.changes == ["encoder 0"]
    cost = (8 + 12 + 1) / PACE
    assert STAY * cost - 0.2 <= card.working - began <= STAY * cost + 0.3
    while any(len(walk.needs) == 4 for walk in card.inside):
        card.turn()
    assert card.changes.count("encoder 0") == 1 and painter in card.inside


def test_where_all_fit_the_order_is_what_it_was() -> None:
    """Without changes, passes are those of an order that knows of none."""

    def day(change: bool) -> list[list[str]]:
        rnd, made = random.Random(3), models(2)
        card = Card(100)
        if not change:
            card.order = StepOrder(card.seconds)
        for number in range(20):
            encoder, denoiser, vae = rnd.choice(made)
            card.add(Walk((f"u{number % 5}", 1.0), [encoder, denoiser, denoiser, vae], (number, 0)))
        passes = []
        while card.inside:
            passes.append([walk.user[0] for walk in card.turn()[0]])
        return passes

    assert day(change=True) == day(change=False)
