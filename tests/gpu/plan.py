"""The sections in the order of their worth, each model made once and let go before the next."""

from __future__ import annotations

import argparse
import gc
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from tests.gpu import flood, memory, painting, process
from tests.gpu.card import Card, NoCard, commit
from tests.gpu.models import Recipe, made_up
from tests.gpu.painting import Room
from tests.gpu.results import Results

DEPTH = 50  # pictures of the flood
LEFT = 300 * 10**6  # bytes; libraries keep some for themselves
Part = Callable[[Room], None]


@dataclass(frozen=True)
class Section:
    """One part of a group; `seconds` is about what it takes on an H100."""

    name: str
    seconds: float
    work: Part


@dataclass(frozen=True)
class Group:
    """Sections that share one model on the card; the first makes it."""

    name: str
    recipe: str
    sections: tuple[Section, ...]


class Plan:
    """What is run, on which card."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.tiny, self.folder = options.tiny, folder
        self.only = {each.strip() for each in options.only.split(",") if each.strip()}
        self.results = Results(options.json, options.budget)
        self.depth = 6 if self.tiny else DEPTH

    def groups(self) -> Iterator[Group]:
        """Return all groups, the most telling first."""
        common = (Section("load", 8, painting.load), Section("overhead", 5, painting.overhead))
        exact, joining = Section("exact", 4, painting.exact), partial(Section, "throughput")
        flooded = Section("flood", 40, lambda room: flood.flood(room, self.depth))
        steering = Section("steering", 4, painting.steering)
        squeezed = Section("out-of-memory", 10, memory.out_of_memory)
        model = painting.throughput
        yield Group("klein", "klein", (*common, flooded, steering, exact, joining(14, model)))
        yield Group("sdxl", "sdxl", (*common, steering, exact, squeezed, joining(16, model)))
        yield Group("z-image", "z-image", (*common, exact, joining(16, model)))
        yield Group("files", "sd15", (Section("save", 6, self._save), Section("process", 40, self._process)))
        yield Group("sd15", "sd15", (*common, exact, joining(6, model)))
        for name in ("klein", "sdxl", "z-image", "sd15"):
            yield Group(f"{name} in fp32", name, (Section("exact", 6, painting.exact_fp32),))
        yield Group("small cards", "sd15", (Section("caps", 25, self._caps),))
        yield Group("qwen-image", "qwen-image", (*common, exact, joining(8, painting.throughput_of_two)))
        switching = Section("save", 14, self._save), Section("switching", 20, self._switching)
        yield Group("turns", "sdxl", switching)

    def run(self) -> None:
        card = NoCard() if self.tiny else Card()
        self.results.begin(self._machine(card))
        gc.collect()
        gc.freeze()  # what was imported stays: each look for models that went would look through it all
        with made_up(card, tiny=self.tiny):
            for group in self.groups():
                self._run(card, group)
        self.results.finish()

    def list(self) -> None:
        for group in self.groups():
            for section in group.sections:
                name = f"{group.name}:{section.name}"
                sys.stdout.write(f"{name:32} {section.seconds:4.0f} s\n")

    def _wanted(self, group: Group) -> tuple[Section, ...]:
        """Return the sections that are asked for; the others of a group need its first."""
        if not self.only or group.name in self.only:
            return group.sections
        wanted = [s for s in group.sections if {s.name, f"{group.name}:{s.name}"} & self.only]
        first = group.sections[0]
        return tuple([first, *(s for s in wanted if s is not first)]) if wanted else ()

    def _run(self, card: Card, group: Group) -> None:
        sections = self._wanted(group)
        if not sections:
            return
        room = Room(card, self.results, Recipe.read(group.recipe, tiny=self.tiny), 0.0)
        made = True
        for number, section in enumerate(sections):
            name = f"{group.name}:{section.name}"
            if not made:
                self.results.leave_out(name, f"{group.name}:{sections[0].name} did not succeed")
                continue
            expected = 1.0 if self.tiny else section.seconds
            room.deadline = time.monotonic() + min(self.results.left, 300 if self.tiny else 20 + 3 * expected)
            succeeded = self.results.section(name, expected, partial(section.work, room))
            made = made and (succeeded or number > 0)
            card.tidy()
        room.close()
        if (left := card.allocated()) > LEFT:
            sys.stdout.write(f"{left / 1e9:.2f} GB are still allocated after {group.name}\n")

    def _machine(self, card: Card) -> dict[str, Any]:
        return card.describe() | {
            "tiny": self.tiny,
            "date": datetime.now(UTC).date().isoformat(),
            "commit": commit(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
            "transformers": transformers.__version__,
        }

    # --- sections that need more than one model ---

    def _save(self, room: Room) -> None:
        memory.save(room.card, self.results, room.recipe, self.folder / room.recipe.name, room.deadline)

    def _process(self, room: Room) -> None:
        process.process(room.card, self.results, self.folder / "sd15", room.recipe, room.deadline)

    def _caps(self, room: Room) -> None:
        names = ("sd15", "sdxl", "klein", "z-image", "qwen-image")
        recipes = [Recipe.read(name, tiny=self.tiny) for name in names]
        memory.caps(room.card, self.results, recipes, room.deadline)

    def _switching(self, room: Room) -> None:
        if not (self.folder / "sd15").exists():
            sd15 = Recipe.read("sd15", tiny=self.tiny)
            memory.save(room.card, self.results, sd15, self.folder / "sd15", room.deadline)
        other = self.folder / "sd15-again"
        other.symlink_to(self.folder / "sd15", target_is_directory=True)
        folders = [self.folder / "sd15", other, self.folder / "sdxl"]
        recipe = Recipe.read("sd15", tiny=self.tiny)
        memory.switching(room.card, self.results, folders, recipe, room.deadline)
