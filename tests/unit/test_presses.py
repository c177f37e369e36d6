"""A press is declared once: cards, surfaces and the studio take everything else from its declaration."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from bot import actions
from bot.actions import ACTIONS, SPECS, ActionSpec, Kind, Whose
from bot.adapters.base import ChatAdapter
from bot.adapters.interactions import Interactions
from bot.easel import Easel
from bot.messages import job_cards
from bot.messages import types as message_types
from bot.messages.types import Card, May
from bot.models import Job, State, StoredPicture
from tests.examples import a_job

ROOT = Path(__file__).parents[2]
ADAPTERS = sorted((ROOT / "bot/adapters").rglob("*.py"))
DOCS = (ROOT / "docs/adapters.md").read_text(encoding="utf-8")
ASKS = DOCS.split("## What it asks")[1].split("\n## ")[0]


def job(count: int = 4, **changes: object) -> Job:
    pictures = [
        StoredPicture(index=index, blob=f"{index}.png", seed=7, width=64, height=64) for index in range(count)
    ]
    return a_job(state=State.RENDERED, pictures=tuple(pictures), **changes)


def drawn(kind: Kind, may: May = message_types.ANYTHING, *, count: int = 4) -> Card:
    large = replace(job(1), request=job(1).request.enlarged("0.png", 64, 64))
    one = job(event="series:key:1:2")
    return {
        "waiting": lambda: job_cards.waiting(one, may=may),
        "painting": lambda: job_cards.painting(one, may=may),
        "done": lambda: job_cards.done(replace(job(count), request=replace(job().request, draft=True)), may),
        "upscaled": lambda: job_cards.done(large, may),
        "failed": lambda: job_cards.failed(job(), may),
        "cancelled": lambda: job_cards.cancelled(job(), may),
    }[kind]()


def names(made: Card) -> tuple[set[str], set[str]]:
    """What is offered in rows, and behind ⋯."""
    rows = {actions.parse(each.id).name for row in made.rows for each in row}
    return rows, {actions.parse(each.id).name for each in made.more}


def _count(spec: ActionSpec) -> int:
    """How many images a card has that offers it."""
    return 1 if spec.of_one else 4


OFFERED = [(spec, kind) for spec in ACTIONS for kind in spec.on if spec.answers != "place"]


@pytest.mark.parametrize(("spec", "kind"), OFFERED, ids=lambda each: getattr(each, "name", each))
def test_a_card_has_the_button_where_its_declaration_says(spec: ActionSpec, kind: Kind) -> None:
    rows, more = names(drawn(kind, count=_count(spec)))
    assert (spec.name in rows, spec.name in more) == (not spec.overflow, spec.overflow)


@pytest.mark.parametrize(("spec", "kind"), OFFERED, ids=lambda each: getattr(each, "name", each))
def test_only_those_have_it_whose_it_is(spec: ActionSpec, kind: Kind) -> None:
    for who in get_args(Whose):
        rows, more = names(drawn(kind, May(who=frozenset({who})), count=_count(spec)))
        assert (spec.name in rows | more) == (who in spec.whose), who


@pytest.mark.parametrize(("spec", "kind"), OFFERED, ids=lambda each: getattr(each, "name", each))
def test_it_is_offered_only_where_a_model_does_its_task(spec: ActionSpec, kind: Kind) -> None:
    rows, more = names(drawn(kind, May(tasks=frozenset()), count=_count(spec)))
    assert (spec.name in rows | more) == (not spec.task)


def test_what_is_about_a_draft_is_offered_only_for_one() -> None:
    rows, more = names(job_cards.done(job()))
    assert {each for each in rows | more if SPECS[each].of_draft} == set()


def test_what_is_about_a_series_is_offered_only_for_one() -> None:
    rows, more = names(job_cards.waiting(job()))
    assert {each for each in rows | more if SPECS[each].of_series} == set()


def test_every_press_does_something() -> None:
    """A service has a method for what is about a job, or the router a way of its own.

    What is about images that were sent is done by the surface that has them.
    """
    files = ("bot/router.py", "bot/moderation/reviews.py")
    text = "".join((ROOT / each).read_text(encoding="utf-8") for each in files)
    done = {*re.findall(r'"(\w+)": (?:self\._|lambda action)', text), *actions.DERIVING, *actions.FILES}
    done |= {name for name in SPECS if f'"{name}"' in text}
    assert {name for name in SPECS.keys() - done if SPECS[name].about != "sent"} == set()


def test_words_fit_every_platform() -> None:
    for spec in ACTIONS:
        for label in (spec.label, spec.alone, spec.retry, spec.confirm):
            assert len(label.format(n=16)) <= 34
        assert len(spec.menu) <= 24 and len(spec.menu_help) <= 100
        assert (spec.label == "") == (spec.spoken == "")


def containers(tree: ast.AST) -> Iterator[list[str]]:
    """The texts that stand together in each tuple, list, set or mapping."""
    for node in ast.walk(tree):
        match node:
            case ast.Tuple(elts=found) | ast.List(elts=found) | ast.Set(elts=found):
                yield [each.value for each in found if isinstance(each, ast.Constant)]
            case ast.Dict(keys=keys, values=values):
                yield [each.value for each in (*keys, *values) if isinstance(each, ast.Constant)]


@pytest.mark.parametrize("path", ADAPTERS, ids=lambda each: each.relative_to(ROOT).as_posix())
def test_no_adapter_has_a_list_of_action_names(path: Path) -> None:
    commands = {"show", "cancel", "upscale"}  # and names of commands
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for texts in containers(tree):
        assert len((set(texts) & SPECS.keys()) - commands) < 2, texts
    ids = re.findall(rf"v1:(?:{'|'.join(SPECS)})\b", path.read_text(encoding="utf-8"))
    assert ids == ([] if path.parent.name != "slack" else [each for each in ids if each == "v1:share"])


# ---- the port


def test_the_page_about_surfaces_names_all_that_one_must_write() -> None:
    wanted = {*Interactions.__abstractmethods__, *_public(ChatAdapter), "connected", "closed"}
    assert {each for each in wanted if f"`{each}`" not in DOCS} == set()


def test_what_chats_share_asks_what_the_page_about_surfaces_names() -> None:
    text = (ROOT / "bot/adapters/interactions.py").read_text(encoding="utf-8")
    assert _asked(text) and {each for each in _asked(text) if f"`{each}`" not in DOCS} == set()


def test_the_example_is_short_and_asks_what_the_page_names() -> None:
    text = (ROOT / "tests/contract/socket/surface.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 200
    assert _asked(text) and {each for each in _asked(text) if f"`{each}`" not in DOCS} == set()
    assert not [name for name in SPECS if re.search(rf"[\"']{name}[\"']", text)]


def test_the_page_names_services_that_there_are() -> None:
    """Each `service.method` in the table of what a surface asks."""
    services = get_type_hints(Easel)
    rows = "\n".join(line.split("|")[1] for line in ASKS.splitlines() if line.startswith("| `"))
    named = [name.split(".") for name in re.findall(r"`(\w+\.\w+)`", rows)]
    assert len(named) > 10
    assert [(service, method) for service, method in named if not hasattr(services[service], method)] == []


def _asked(text: str) -> set[str]:
    return set(re.findall(r"self\._easel\.(\w+\.\w+)", text))


def _public(protocol: type) -> set[str]:
    named = {*vars(protocol), *getattr(protocol, "__annotations__", {})}
    return {each for each in named if not each.startswith("_")}
