"""Calls of a class that no test has compared are joined only once that gave the same as alone."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline

from bot import doctor
from engine.catalog import Entry
from engine.pipelines import rehearsal
from engine.pipelines import run as pipelines
from engine.pipelines.comparing import Comparison, near
from engine.pipelines.verdicts import ClassVerdict, Joins, Verdicts, key
from engine.types import ModelInfo
from tests.families import FAMILIES

INFO = ModelInfo(
    name="unknown", title="", licence="", width=64, height=64, steps=2, guidance=2.0, multiple=16, min_side=32
)
KEY = key("UnknownPipeline", "float32")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)


class UnknownPipeline(StableDiffusionPipeline):  # type: ignore[misc]
    """A class that no family names."""


class ChangingPipeline(StableDiffusionPipeline):  # type: ignore[misc]
    """Changes the shared model while it runs, as pipelines do that swap attention processors."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.unet.scale = 1.0 + float(kwargs["generator"].initial_seed())
        return super().__call__(*args, **kwargs)


class TidyPipeline(StableDiffusionPipeline):  # type: ignore[misc]
    """Changes the shared model in the same way in each request, and changes it back at its end."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.unet.scale = 2.0
        try:
            return super().__call__(*args, **kwargs)
        finally:
            self.unet.scale = 1.0


def loaded(folder: Path, kind: type[StableDiffusionPipeline] = UnknownPipeline, **changes: Any) -> Any:
    """A model of an unknown class; `forward` stands in for its denoiser's own."""
    parts = FAMILIES["sd"](folder).pipe.components
    pipe = kind(**parts, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    if "forward" in changes:
        pipe.unet.forward = functools.partial(changes["forward"], pipe.unet, pipe.unet.forward)
    verdicts = Verdicts(folder)
    verdict = verdicts.of(key(kind.__name__, "float32"))
    points = pipelines.points_of(pipe, verdict=verdict, save=verdicts.save)
    nobody: Any = None
    found = pipelines.Loaded(Entry(info=INFO, source=""), pipe, points, None, nobody, verdict=verdict)
    rehearsal.rehearse(found, verdicts.save)
    return found


def joined(verdict: ClassVerdict) -> set[str]:
    """The modules whose calls are joined."""
    return {form.partition(" ")[0] for form, each in verdict.calls.items() if each.varied}


def wrong(verdict: ClassVerdict) -> set[str]:
    return {form.partition(" ")[0] for form, each in verdict.calls.items() if each.wrong}


def painted(model: Any, *, together: bool) -> list[torch.Tensor]:
    runs = [functools.partial(rehearsal._paint, model, number) for number in (0, 1)]
    return rehearsal.meet(runs, together=together) if together else [run() for run in runs]


def test_a_sound_class_is_joined_once_it_was_compared(tmp_path: Path) -> None:
    rows: Counter[int] = Counter()

    def forward(unet: Any, own: Any, sample: torch.Tensor, timestep: Any, **kwargs: Any) -> Any:
        rows[len(sample)] += 1
        return own(sample, timestep, **kwargs)

    model = loaded(tmp_path, forward=forward)
    assert not model.apart
    assert joined(model.verdict) == {"unet", "text_encoder", "vae.decode"} and not wrong(model.verdict)
    rows.clear()

    pictures = painted(model, together=True)

    assert rows == {4: 2, 2: 1}  # two pictures with guidance, two steps, and one more of the second
    assert all(map(near, pictures, painted(model, together=False)))


def test_a_model_that_reads_rows_by_their_place_is_kept_alone(tmp_path: Path) -> None:
    def forward(unet: Any, own: Any, sample: torch.Tensor, timestep: Any, **kwargs: Any) -> Any:
        first, second = sample.chunk(2)  # the unguided rows, then the guided ones: so it was made
        return own(torch.cat([first, second * 0.9]), timestep, **kwargs)

    model = loaded(tmp_path, forward=forward)
    alone = painted(model, together=False)

    assert wrong(model.verdict) == {"unet"} and not model.apart
    assert all(map(near, painted(model, together=True), alone))


def test_requests_of_a_class_that_changes_what_others_see_run_one_after_another(tmp_path: Path) -> None:
    def forward(unet: Any, own: Any, sample: torch.Tensor, timestep: Any, **kwargs: Any) -> Any:
        return own(sample * getattr(unet, "scale", 1.0), timestep, **kwargs)

    assert loaded(tmp_path, ChangingPipeline, forward=forward).apart


def test_a_class_that_puts_back_what_it_changed_while_another_goes_on_is_kept_apart(tmp_path: Path) -> None:
    def forward(unet: Any, own: Any, sample: torch.Tensor, timestep: Any, **kwargs: Any) -> Any:
        return own(sample * getattr(unet, "scale", 1.0), timestep, **kwargs)

    assert loaded(tmp_path, TidyPipeline, forward=forward).apart


def test_a_verdict_is_kept_and_not_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = loaded(tmp_path)
    monkeypatch.setattr(rehearsal, "paint", None)  # whoever rehearses again fails

    again = loaded(tmp_path)

    assert again.verdict == first.verdict and joined(again.verdict)
    assert "joined after a comparison: text_encoder, unet, vae.decode" in Verdicts(tmp_path).of(KEY).told()


def test_until_it_was_compared_a_class_runs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "PROMPTS", (None, None))  # nothing can be painted
    model = loaded(tmp_path)

    assert model.apart and model.verdict.apart is None and not model.verdict.calls
    assert Verdicts(tmp_path).of(KEY).told() == "not compared yet, so its calls run alone"


@pytest.mark.parametrize("content", ["", "[]", '{"x": {"calls": 3, "apart": 1}}', '{"x": 1}'])
def test_a_damaged_file_is_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "joined-calls.json").write_text(content)
    verdicts = Verdicts(tmp_path)

    verdicts.of(KEY).apart = False
    verdicts.save()

    assert Verdicts(tmp_path).of(KEY).apart is False


def test_another_version_or_type_of_weights_is_compared_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key("UnknownPipeline", "torch.float32")
    assert before != key("UnknownPipeline", "torch.bfloat16")
    monkeypatch.setattr("engine.pipelines.verdicts.version", lambda name: "99")

    assert key("UnknownPipeline", "torch.float32") != before


def compared(known: Joins, joined: Any, alone: Any, **arguments: Any) -> tuple[Any, Joins, int]:
    """What two calls give, what is known of them afterwards, and how often something was learned."""
    verdict, saved = ClassVerdict(calls={"form": known}), [0]

    def save() -> None:
        saved[0] += 1

    given = [{name: values[i] for name, values in arguments.items()} for i in (0, 1)]
    results = Comparison(verdict, save).run(
        "form", given, joined=lambda numbers: joined(*numbers), alone=alone
    )
    return results, verdict.calls["form"], saved[0]


ONE, TWO = torch.full((1, 4), 1.0), torch.full((1, 4), 2.0)


def test_what_was_equal_in_all_rows_is_not_taken_for_rows() -> None:
    # Shown right with equal ids; with other ids, the model reads those of the first row alone.
    known = Joins(varied={"x"})
    results, after, saved = compared(
        known, lambda *_: [ONE, ONE], lambda: [ONE, TWO], x=(ONE, TWO), ids=(ONE, TWO)
    )

    assert torch.equal(results[1], TWO) and saved == 1
    assert after == Joins(varied={"x"}, equal={"ids"})


def test_calls_that_give_the_same_tell_nothing() -> None:
    _, after, saved = compared(Joins(), lambda *_: [ONE, ONE], lambda: [ONE, ONE], x=(ONE, TWO))

    assert after == Joins() and not saved


def test_calls_that_cannot_be_joined_are_kept_alone() -> None:
    def fails(*_: int) -> Any:
        raise RuntimeError("sizes do not match")

    results, after, _ = compared(Joins(), fails, lambda: [ONE, TWO], x=(ONE, TWO))

    assert results == [ONE, TWO] and after == Joins(wrong=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_row_that_its_neighbours_change_a_little_is_found(dtype: torch.dtype) -> None:
    one, two = ONE.to(dtype), TWO.to(dtype)
    values = (one, two)

    def mixed(*numbers: int) -> list[torch.Tensor]:
        return [values[n] + 0.02 * values[numbers[0]] for n in numbers]  # 2 %: rounding hides it in halves

    def sound(*numbers: int) -> list[torch.Tensor]:
        return [values[n] for n in numbers]

    assert compared(Joins(), mixed, lambda: [one, two], x=values)[1] == Joins(wrong=True)
    assert compared(Joins(), sound, lambda: [one, two], x=values)[1] == Joins(varied={"x"})


def test_a_lack_of_memory_is_no_verdict() -> None:
    def fails(*_: int) -> Any:
        raise torch.OutOfMemoryError("too much")

    with pytest.raises(torch.OutOfMemoryError):
        compared(Joins(), fails, lambda: [ONE, TWO], x=(ONE, TWO))


def test_doctor_tells_what_was_learned(tmp_path: Path) -> None:
    pipe = FAMILIES["sd"](tmp_path).pipe
    pipe.save_pretrained(tmp_path / "mine", safe_serialization=True)
    index = tmp_path / "mine" / "model_index.json"
    index.write_text(index.read_text().replace('"StableDiffusionPipeline"', '"StableDiffusionSAGPipeline"'))
    before = doctor._model(str(tmp_path / "mine"), tmp_path)
    verdicts = Verdicts(tmp_path)
    verdicts.of(key("StableDiffusionSAGPipeline", "float32")).apart = True
    verdicts.save()
    after = doctor._model(str(tmp_path / "mine"), tmp_path)

    assert before.ok and "not compared yet" in before.detail
    assert after.ok and "requests run one after another" in after.detail
    assert "alone" not in doctor._model("easel-tiny", tmp_path).detail
