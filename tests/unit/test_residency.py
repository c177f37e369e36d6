"""Components take turns on a card: never more than fits, always those that a call needs, none for nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import OutOfMemory
from engine.pipelines import run as pipelines
from engine.pipelines.components import (
    OFTEN,
    DeviceMemory,
    ModuleComponent,
    StreamedComponent,
    bytes_of,
    components_of,
)
from engine.pipelines.previews import Preview
from engine.scheduling.residency import FOR_MODELS, Pace, Residency
from engine.scheduling.step_order import STAY
from engine.types import Finished, GenerationRequest
from tests.families import FAMILIES
from tests.gpu.bench import Bench
from tests.gpu.card import NoCard, PlayedMemory
from tests.thorough import THOROUGHLY

# --- what leaves ------------------------------------------------------------------------------------------


@dataclass
class Card:
    """A card of so many bytes."""

    memory: int
    taken: int = 0
    brought: list[str] = field(default_factory=list)


@dataclass(eq=False)
class Part:
    name: str
    size: int
    card: Card
    fixed: bool = False
    there: bool = False

    def bring(self) -> None:
        assert not self.there
        if self.card.taken + self.size > self.card.memory:
            raise OutOfMemory(self.name)
        self.there = True
        self.card.taken += self.size
        self.card.brought.append(self.name)

    def drop(self) -> None:
        assert self.there and not self.fixed
        self.there = False
        self.card.taken -= self.size


SIZES = st.lists(st.integers(1, 30), min_size=1, max_size=8)
USES = st.lists(st.integers(0, 7), max_size=60)


@settings(max_examples=300, deadline=None)
@given(SIZES, USES, st.integers(30, 60))
def test_never_more_than_fits_always_what_is_needed_the_oldest_first(
    sizes: list[int], uses: list[int], memory: int
) -> None:
    card = Card(memory)
    parts = [Part(str(number), size, card) for number, size in enumerate(sizes)]
    residency: Residency[Part] = Residency(memory)
    used: dict[Part, int] = {}
    for time, use in enumerate(uses):
        part = parts[use % len(parts)]
        before = [each for each in parts if each.there]
        told = residency.leaving(part)
        brought = residency.bring(part)

        left = [each for each in before if not each.there]
        assert part.there and card.taken <= memory
        assert brought == (0 if part in before else part.size)
        assert set(left) == set(told)
        stayed = [each for each in before if each.there and each is not part]
        assert all(used[gone] < used[kept] for gone in left for kept in stayed), "the oldest leave first"
        if left:
            newest = max(left, key=lambda each: used[each])
            assert card.taken + newest.size > memory, "no more leave than have to"
        used[part] = time
    assert residency.used == card.taken
    assert list(residency.here) == sorted(residency.here, key=lambda each: used[each])


def parts(memory: int, **sizes: int) -> tuple[Card, Residency[Part], dict[str, Part]]:
    card = Card(memory)
    return card, Residency(memory), {name: Part(name, size, card) for name, size in sizes.items()}


def test_what_is_larger_than_all_there_is_gets_the_card_for_itself() -> None:
    card, residency, named = parts(10, small=4, large=12)
    card.memory = 14  # a fifth is for what a pass needs
    residency.bring(named["small"])
    residency.bring(named["large"])
    assert residency.here == (named["large"],)


def test_what_cannot_leave_stays() -> None:
    _, residency, named = parts(10, fixed=4, a=6, b=6)
    named["fixed"].fixed = True
    for each in ("fixed", "a", "b"):
        residency.bring(named[each])
    assert residency.here == (named["fixed"], named["b"])
    assert not residency.make_room(named["b"])


def test_when_others_take_memory_too_everything_leaves_before_a_component_fails() -> None:
    card, residency, named = parts(10, a=4, b=4, c=4)
    card.memory = 7
    residency.bring(named["a"])
    residency.bring(named["b"])
    assert residency.here == (named["b"],) and named["b"].there
    card.memory = 3
    with pytest.raises(OutOfMemory):
        residency.bring(named["c"])
    assert card.taken == 0 and residency.here == ()


def test_the_pace_is_assumed_until_it_is_measured() -> None:
    pace = Pace()
    assert pace.seconds(24e9) == 24e9 / Pace.ASSUMED
    pace.observe(10 * 10**9, 1.0)
    pace.observe(30 * 10**9, 1.0)
    assert pace.seconds(24e9) == pytest.approx(1.2)


# --- weights that come and go -----------------------------------------------------------------------------


def test_weights_come_to_a_device_and_go_back_to_where_they_were() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8))
    memory = DeviceMemory(torch.device("cpu"), memory=1e9)
    component = ModuleComponent("unet", module, memory)
    assert component.size == sum(t.nbytes for t in (*module.parameters(), *module.buffers()))
    before = [t.data_ptr() for t in module.parameters()]
    kept = [t.clone() for t in module.parameters()]
    component.bring()
    component.drop()
    assert [t.data_ptr() for t in module.parameters()] == before
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), kept, strict=True))


def test_weights_that_do_not_fit_are_not_left_half_there(monkeypatch: pytest.MonkeyPatch) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 4))
    component = ModuleComponent("unet", module, DeviceMemory(torch.device("cpu"), memory=1e9))
    before = [t.data_ptr() for t in module.parameters()]
    copied = list[torch.Tensor]()

    real = torch.Tensor.to

    def to(self: torch.Tensor, *given: Any, **more: Any) -> torch.Tensor:
        copied.append(self)
        if len(copied) == 3:
            raise torch.OutOfMemoryError("played")
        return real(self.clone(), *given, **more)

    monkeypatch.setattr(torch.Tensor, "to", to)
    with pytest.raises(OutOfMemory):
        component.bring()
    assert [t.data_ptr() for t in module.parameters()] == before


def test_only_what_comes_often_is_pinned_and_only_as_much_as_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = list[int]()
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(self.nbytes) or self)
    memory = DeviceMemory(torch.device("cpu"), memory=1e9, pinned=1000)
    first = ModuleComponent("a", torch.nn.Linear(10, 10, bias=False), memory)  # 400 bytes, pinned as 512
    second = ModuleComponent("b", torch.nn.Linear(10, 10, bias=False), memory)
    for _ in range(OFTEN - 1):
        first.bring()
        first.drop()
    assert not pinned
    first.bring()
    assert pinned == [400]
    for _ in range(OFTEN):
        second.bring()
        second.drop()
    assert pinned == [400], "no more may be pinned"
    first.unload()
    assert memory.pin(1000)


# --- a worker whose card holds too little ------------------------------------------------------------------


ASKED = GenerationRequest(prompt="a fox", seed=7, steps=4, count=1, width=64, height=64)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    pipelines.silence_libraries()
    folder = tmp_path_factory.mktemp("models")
    twin = FAMILIES["sd"](folder).pipe
    names = [str(folder / f"model-{letter}") for letter in "abc"]
    for name in names:
        twin.save_pretrained(name, safe_serialization=True)
    return names


@pytest.fixture(scope="module")
def sizes(folders: list[str]) -> dict[str, int]:
    loaded = Small(folders[:1], 1e9).worker._models["model-a"]
    return {each.name: each.size for each in loaded.components}


class Small(Bench):
    """A worker whose card has so many bytes."""

    def __init__(self, folders: Sequence[str], card: float) -> None:
        super().__init__(NoCard(), folders)
        self.memory = self.worker._memory = PlayedMemory(card)
        with patch.object(Preview, "fit", lambda *given: None):  # the slowest part of loading
            for folder in folders:
                self.load(Path(folder).name)


@pytest.fixture
def roomy(folders: list[str]) -> Iterator[Small]:
    yield Small(folders[:2], 1e9)


def asked(model: str, seed: int = 1, **changes: Any) -> GenerationRequest:
    return replace(ASKED, model=model, seed=seed, prompt=f"a fox, number {seed}", **changes)


def pixels(bench: Bench, request: GenerationRequest) -> torch.Tensor:
    bench.keeps = True
    (job,) = bench.paint([request])
    return bench.pictures[job]


def test_pictures_are_the_same_wherever_the_components_are(
    folders: list[str], roomy: Small, sizes: dict[str, int]
) -> None:
    whole = pixels(roomy, asked("model-a"))
    tight = Small(folders[:1], max(sizes.values()) * 1.25 + 1)
    assert torch.equal(pixels(tight, asked("model-a")), whole)
    assert tight.memory.most <= max(sizes.values()) * 1.25 + 1
    assert tight.memory.brought == ["text_encoder", "unet", "vae"]


def test_where_all_fit_each_comes_once(roomy: Small) -> None:
    for seed in range(3):
        roomy.paint([asked("model-a", seed), asked("model-b", seed)])
    assert sorted(roomy.memory.brought) == ["text_encoder"] * 2 + ["unet"] * 2 + ["vae"] * 2


def test_an_encoder_is_brought_in_once_for_all_prompts_that_wait(
    folders: list[str], sizes: dict[str, int]
) -> None:
    bench = Small(folders[:1], (sizes["unet"] + sizes["text_encoder"] // 2) * 1.25)
    jobs = [bench.give(asked("model-a", seed, steps=6), user=f"u{seed}") for seed in range(6)]
    bench.finish()
    assert all(isinstance(bench.end(job), Finished) for job in jobs)
    assert bench.memory.brought.count("text_encoder") == 1


def test_prompts_that_come_while_others_paint_wait_for_each_other_and_not_for_ever(
    folders: list[str], sizes: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Small(folders[:1], (sizes["unet"] + sizes["text_encoder"] // 2) * 1.25)
    change, passes = 0.5, list[float]()
    bench.memory.pace.observe(10**9, 1.0)
    monkeypatch.setattr(bench.memory.pace, "seconds", lambda size: change)
    bench.worker._clock = Ticks(passes)  # type: ignore[assignment]
    painter = bench.give(asked("model-a", 1, steps=100), user="painter")
    for _ in range(8):
        bench.turn()
    bench.memory.brought.clear()
    others = [bench.give(asked("model-a", seed, steps=2), user=f"u{seed}") for seed in range(2, 8)]
    passes.clear()
    while bench.memory.brought.count("text_encoder") == 0:
        bench.turn()
    waited = sum(passes[:-1])
    assert STAY * change - 2 * Ticks.PASS <= waited <= STAY * change + 2 * Ticks.PASS
    while not all(bench.end(job) for job in others):
        bench.turn()
    assert bench.memory.brought.count("text_encoder") == 1, "once for all six"
    assert bench.end(painter) is None
    bench.cancel(painter)
    bench.finish()


class Ticks:
    """A clock by which each pass takes the same."""

    PASS = 0.1

    def __init__(self, passes: list[float]) -> None:
        self.passes = passes

    def measure(self, work: Any) -> tuple[Any, float]:
        results = work()
        if not isinstance(results, list):  # a request that goes on by itself
            return results, 0.0
        self.passes.append(self.PASS)
        return results, self.PASS


@pytest.mark.slow
def test_three_models_at_once_take_turns(
    folders: list[str], sizes: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on 24 GB: one denoiser fits beside its encoder, two denoisers do not."""
    bench = Small(folders, (sizes["unet"] + sizes["vae"] + sizes["text_encoder"]) * 1.25 + 1)
    monkeypatch.setattr(bench.memory.pace, "seconds", lambda size: 0.5)
    passes: list[float] = []
    bench.worker._clock = Ticks(passes)  # type: ignore[assignment]
    names = ["model-a", "model-b", "model-c"]
    jobs = [bench.give(asked(names[n % 3], n, steps=16), user=f"u{n}") for n in range(6)]
    gaps: list[float] = []
    while not any(bench.end(job) for job in jobs):
        bench.turn()
        now = [resident.seconds for resident in bench.worker._residents.values()]
        if len(now) == 6:
            gaps.append(max(now) - min(now))
    bench.finish()
    assert all(isinstance(bench.end(job), Finished) for job in jobs)
    work = sum(passes)
    changes = bench.memory.brought.count("unet")
    assert changes * STAY * 0.5 <= work + 3 * STAY * 0.5, "a change is worth three times what it costs"
    assert max(gaps) <= 3 * (STAY * 0.5 + Ticks.PASS), "and nobody is passed for longer"
    assert bench.memory.most <= bench.memory.card
    charged = bench.charged(jobs)
    assert charged == pytest.approx(sum(passes)), "nobody is charged for changes"


def test_a_pass_without_memory_gets_the_card_for_itself_from_then_on(
    folders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Small(folders[:1], 1e9)
    (loaded,) = bench.worker._models.values()
    point = next(each for each in loaded.points if each.name == "unet")
    real, tried = point.function, list[bool]()

    def tight(**arguments: Any) -> Any:
        alone = len(bench.memory.residency.here) == 1
        tried.append(alone)
        if not alone:
            raise torch.OutOfMemoryError("played")
        return real(**arguments)

    monkeypatch.setattr(point, "function", tight)
    bench.paint([asked("model-a", steps=5)])
    bench.paint([asked("model-a", 2, steps=5)])
    assert tried.count(False) == 1 and tried.count(True) == 10
    assert not point.fitting, "rows are not made fewer for it"


def test_a_component_that_does_not_fit_fails_the_job_with_a_sentence(
    folders: list[str], sizes: dict[str, int]
) -> None:
    bench = Small(folders[:1], 1e9)
    bench.memory.card = sizes["unet"] - 1
    bench.memory.residency.memory = bench.memory.card
    with pytest.raises(OutOfMemory):
        bench.paint([asked("model-a")])


def test_a_model_that_is_unloaded_leaves_the_card(roomy: Small) -> None:
    roomy.paint([asked("model-a"), asked("model-b")])
    roomy.worker._unload("model-a")
    assert set(roomy.memory.residency.here) == {*roomy.worker._models["model-b"].components}
    assert roomy.memory.taken == roomy.memory.residency.used


# --- what is too large even alone -------------------------------------------------------------------------


def test_what_is_larger_than_the_card_is_streamed_by_blocks(
    folders: list[str], sizes: dict[str, int], roomy: Small
) -> None:
    whole = pixels(roomy, asked("model-a"))
    bench = Small(folders[:1], sizes["unet"] * 0.8 * 1.25)
    streamed = {each.name: each for each in bench.worker._models["model-a"].components}
    assert isinstance(streamed["unet"], StreamedComponent) and streamed["unet"].size < sizes["unet"]
    assert not isinstance(streamed["text_encoder"], StreamedComponent)
    assert torch.allclose(pixels(bench, asked("model-a")), whole, atol=1e-5)
    assert "unet" not in bench.memory.brought


def test_an_encoder_without_blocks_at_its_top_is_streamed_by_leaves(folders: list[str]) -> None:
    pipe = pipelines._from_source(Small(folders[:1], 1e9).worker._catalog.entry("model-a"), torch.float32, {})
    encoder, words = pipe.text_encoder, torch.ones(1, 77, dtype=torch.long)
    with torch.no_grad():
        whole = encoder(words)[0]
        memory = DeviceMemory(torch.device("cpu"), memory=bytes_of(encoder) / 2)
        component = memory.component("text_encoder", encoder)
        assert isinstance(component, StreamedComponent) and component.size < bytes_of(encoder)
        assert torch.equal(encoder(words)[0], whole)


def test_blocks_are_streamed_where_two_of_them_fit() -> None:
    layers = torch.nn.Sequential(*(torch.nn.Linear(10, 10, bias=False) for _ in range(8)))
    module = torch.nn.ModuleDict({"blocks": layers, "end": torch.nn.Linear(10, 1, bias=False)})
    memory = DeviceMemory(torch.device("cpu"), memory=1000)
    component = memory.component("transformer", module)
    assert isinstance(component, StreamedComponent) and component.size == 40 + 2 * 400
    memory.residency.memory = 500
    component = memory.component("transformer", module)
    assert component is not None and component.size == int(0.1 * (8 * 400 + 40))


# --- every family -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", THOROUGHLY)
def test_each_family_paints_with_one_component_on_the_card_at_a_time(name: str, tmp_path: Path) -> None:
    """A pipeline that uses a module beside its calls would find no weights there."""
    twin = FAMILIES[name](tmp_path)
    pipe, asked = twin.pipe, twin.options(2) | {"output_type": "pt"}

    def picture() -> torch.Tensor:
        with torch.no_grad():
            return pipe(**asked, generator=torch.Generator().manual_seed(1)).images

    whole = picture()
    modules = [each for each in pipe.components.values() if isinstance(each, torch.nn.Module)]
    memory = PlayedMemory(max(map(bytes_of, modules)) / FOR_MODELS)
    components = components_of(pipe, memory)
    points = pipelines.points_of(pipe, components)
    assert torch.allclose(picture(), whole, atol=1e-6)
    assert set(components) <= {*memory.brought} | {"image_encoder", "safety_checker"}
    assert memory.most <= memory.card
    for point in points:
        point.restore()
