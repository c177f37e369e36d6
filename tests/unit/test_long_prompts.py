"""A prompt that is longer than the encoder takes is encoded in parts, or what is left out is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import weights
from engine.families import family_of
from engine.pipelines import long_prompts
from engine.pipelines.long_prompts import Heard, arguments, listening, parts_of
from engine.types import LoraWeight
from tests import loras as made
from tests.families import FAMILIES, Family, clip_tokenizer, sdxl_with_words
from tests.unit.test_batching import EXACT, Hub, _quiet, call, difference
from tests.unit.test_loras import adapter, loaded, wanting

__all__ = ["_quiet"]

# The twins' tokenizer knows single characters, so that a prompt has as many tokens as letters.
LONG = "a fox in the snow, beside a frozen lake, " * 5
LONGER = "a fox in the snow, beside a frozen lake, " * 9


def tokens(tokenizer: Any, text: str) -> int:
    return len(tokenizer(text, add_special_tokens=False).input_ids)


def test_parts_hold_all_words_in_their_order_and_fit(tmp_path: Path) -> None:
    tokenizer = clip_tokenizer(tmp_path)
    parts = parts_of(tokenizer, LONG)

    assert " ".join(parts).split() == LONG.split()
    assert len(parts) > 2
    assert all(tokens(tokenizer, part) <= 75 for part in parts)
    assert all(part.endswith(",") for part in parts), "they end at commas"


def test_what_fits_is_one_part(tmp_path: Path) -> None:
    tokenizer = clip_tokenizer(tmp_path)

    assert parts_of(tokenizer, "a fox") == ["a fox"]
    assert parts_of(tokenizer, "x" * 75) == ["x" * 75]
    assert parts_of(tokenizer, "") == [""]


def test_a_long_word_behind_a_comma_still_fits(tmp_path: Path) -> None:
    tokenizer = clip_tokenizer(tmp_path)
    parts = parts_of(tokenizer, f"{'a' * 50}, {'b' * 15} {'c' * 70}")

    assert all(tokens(tokenizer, part) <= 75 for part in parts)
    assert parts == [f"{'a' * 50}, {'b' * 15}", "c" * 70]


def test_words_without_spaces_are_cut_where_they_must(tmp_path: Path) -> None:
    tokenizer = clip_tokenizer(tmp_path)
    parts = parts_of(tokenizer, "x" * 400)

    assert "".join(parts).replace(" ", "") == "x" * 400
    assert all(tokens(tokenizer, part) <= 75 for part in parts)


def asked(family: Family, prompt: str, negative: str = "bad", steps: int = 2) -> Callable[[], Any]:
    """A request as the worker calls the pipeline."""
    known = family_of(type(family.pipe).__name__)

    def run() -> Any:
        given = arguments(known, family.pipe, weights.read(prompt), negative)
        return call(family, 1, steps, **{"prompt": prompt, "negative_prompt": negative} | given)()

    return run


@pytest.mark.parametrize("make", [FAMILIES["sd"], sdxl_with_words])
def test_every_part_of_a_long_prompt_reaches_the_picture(
    make: Callable[[Path], Family], tmp_path: Path
) -> None:
    family = make(tmp_path)
    family.pipe.set_progress_bar_config(disable=True)
    weighted = f"({LONG.strip(', ')}:1.4) at night"
    prompts = [LONG, LONG + "a dog", f"{LONGER}::2 a dog::1", weighted, "a fox"]
    calls = [asked(family, prompt) for prompt in prompts] + [asked(family, "a fox", LONGER)]
    alone = [run() for run in calls]
    hub = Hub(family.pipe)
    requests = [hub.start(run) for run in calls]
    hub.finish()
    hub.close()

    assert difference(requests, alone) <= EXACT
    assert hub.widest > 1, "what has equally many parts is joined"
    assert float((alone[0] - alone[1]).abs().max()) > EXACT
    assert float((alone[4] - alone[5]).abs().max()) > EXACT
    assert torch.equal(alone[4], call(family, 1, 2, prompt="a fox", negative_prompt="bad")())


def test_a_part_that_only_fills_up_changes_as_in_other_programs(tmp_path: Path) -> None:
    """Each part is encoded for itself, from a token that begins it to one that ends it."""
    family = FAMILIES["sd"](tmp_path)
    known = family_of("StableDiffusionPipeline")
    given = arguments(known, family.pipe, weights.read(LONG), "bad")
    parts = parts_of(family.pipe.tokenizer, LONG)

    def encoded(text: str) -> torch.Tensor:
        found: torch.Tensor = family.pipe.encode_prompt(text, "cpu", 1, False)[0]
        return found

    assert torch.equal(given["prompt_embeds"], torch.cat([encoded(part) for part in parts], dim=1))
    fill = [encoded("bad"), *[encoded("")] * (len(parts) - 1)]
    assert torch.equal(given["negative_prompt_embeds"], torch.cat(fill, dim=1))


def test_a_long_prompt_has_its_loras(tmp_path: Path) -> None:
    family = FAMILIES["sd"](tmp_path)
    weights_of = made.weights(family.pipe, 1, "unet", "text_encoder")
    run = asked(family, LONG)
    undo = made.merged(family.pipe, weights_of, 0.5)
    alone = run()
    undo()
    hub = Hub(family.pipe)
    model = loaded(hub, family.pipe)
    model.loras.attach(adapter(made.save(tmp_path, "a", weights_of), family.pipe))
    request = hub.start(wanting(model, run, LoraWeight("a", 0.5)))
    hub.finish()
    hub.close()

    assert difference([request], [alone]) <= EXACT


# ---- told


def heard(run: Callable[[], Any]) -> Heard:
    found = Heard()
    token = listening.set(found)
    try:
        run()
    finally:
        listening.reset(token)
    return found


def test_the_number_of_parts_is_told(tmp_path: Path) -> None:
    family = FAMILIES["sd"](tmp_path)

    assert heard(asked(family, LONG, steps=1)).parts == len(parts_of(family.pipe.tokenizer, LONG))
    assert heard(asked(family, "a fox", LONG, steps=1)).parts == 1, "of the prompt alone"
    assert heard(asked(family, LONG, steps=1)).left_out == ""


class Reads:
    """A pipeline whose encoders take so many tokens, and which adds words of its own to the prompt."""

    def __init__(self, folder: Path, **most: int) -> None:
        self._most = most
        for name in most:
            setattr(self, name, clip_tokenizer(folder))

    def __call__(self, prompt: str) -> None:
        for name, most in self._most.items():
            options = {"padding": "max_length", "max_length": most}
            getattr(self, name)(f"say: {prompt} .", truncation=True, **options)
            getattr(self, name)(f"say: {prompt} .", truncation=False)
            getattr(self, name)(["", "bad"], truncation=True, **options)


@pytest.mark.parametrize(
    ("most", "left_out"),
    [
        ({"tokenizer": 100}, ""),
        ({"tokenizer": 17}, "in the snow"),
        ({"tokenizer": 12, "tokenizer_2": 20}, "the snow"),
        ({"tokenizer": 12, "tokenizer_2": 100}, ""),
    ],
)
def test_words_that_no_encoder_takes_are_told(most: dict[str, int], left_out: str, tmp_path: Path) -> None:
    pipe = Reads(tmp_path, **most)

    def run() -> None:
        assert arguments(family_of("FluxPipeline"), pipe, weights.read("the red fox, in the snow"), "") == {}
        pipe("the red fox, in the snow")

    assert heard(run).left_out == left_out


def test_tokenizers_of_others_are_left_alone(tmp_path: Path) -> None:
    pipe = Reads(tmp_path, tokenizer=20)
    shared = pipe.tokenizer  # type: ignore[attr-defined]
    arguments(family_of("FluxPipeline"), pipe, weights.read("a fox"), "")

    assert isinstance(pipe.tokenizer, long_prompts._Listener)  # type: ignore[attr-defined]
    assert not isinstance(shared, long_prompts._Listener)
    assert pipe.tokenizer.model_max_length == 77  # type: ignore[attr-defined]
