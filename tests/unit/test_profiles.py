"""Cards of each size get a plan that fits: whole, quantised where the catalog says so, else streamed."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import pytest
import torch

from engine import catalog
from engine.pipelines import quantising
from engine.profiles import METHODS, STREAM, extra, fitted, profile
from engine.scheduling.residency import FOR_MODELS, turns

ROOT = Path(__file__).parents[2]
GB = 10**9
CARDS = (8, 12, 16, 24, 48, 80)

# Bytes of the published weights in 16 bits.
SIZES = {
    "z-image-turbo": {"text_encoder": 8.04, "transformer": 12.31, "vae": 0.17},
    "flux2-klein": {"text_encoder": 8.04, "transformer": 7.75, "vae": 0.17},
    "qwen-image": {"text_encoder": 16.58, "transformer": 40.86, "vae": 0.25},
    "flux-schnell": {"text_encoder": 0.25, "text_encoder_2": 9.52, "transformer": 23.8, "vae": 0.17},
    "sdxl": {"text_encoder": 0.25, "text_encoder_2": 1.39, "unet": 5.13, "vae": 0.17},
    "chroma": {"text_encoder": 9.52, "transformer": 17.8, "vae": 0.17},
    "sd-turbo": {"text_encoder": 0.68, "unet": 1.73, "vae": 0.17},
}
STREAMED = {("qwen-image", 8), ("qwen-image", 12), ("flux-schnell", 8)}


def plan(name: str, card: float, there: bool = True) -> Any:
    sizes = {part: int(size * GB) for part, size in SIZES[name].items()}
    wanted = profile(catalog.load([name]).entry(name).cards, card * GB)
    return fitted(sizes, wanted, FOR_MODELS * card * GB, lambda package: there)


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("name", SIZES)
def test_every_model_of_the_catalog_fits_every_card(name: str, card: int) -> None:
    fit = plan(name, card)
    streamed = [part for part, held in fit.parts.items() if held.how == STREAM]
    assert bool(streamed) is ((name, card) in STREAMED)
    assert all(held.size <= FOR_MODELS * card * GB for held in fit.parts.values())
    assert not fit.missing


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("name", SIZES)
def test_without_the_packages_it_fits_too_and_they_are_named(name: str, card: int) -> None:
    fit = plan(name, card, there=False)
    assert {held.how for held in fit.parts.values()} <= {"", STREAM}
    assert all(held.size <= FOR_MODELS * card * GB for held in fit.parts.values())
    wanted = profile(catalog.load([name]).entry(name).cards, card * GB)
    assert set(fit.missing) == {METHODS[how].package for how in wanted.values()}


def test_a_profile_names_components_and_methods_that_there_are_and_extras_install_them() -> None:
    table = tomllib.loads((ROOT / "engine/catalog.toml").read_text(encoding="utf-8"))["models"]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name, entry in table.items():
        for card, wanted in entry.get("cards", {}).items():
            assert int(card) in CARDS
            assert set(wanted) <= set(SIZES[name]) and set(wanted.values()) <= set(METHODS)
    for method in METHODS.values():
        (pin,) = extras["optional-dependencies"][method.package]
        assert pin.startswith(f"{method.package}==")
    assert extra(["bitsandbytes", "torchao"]) == 'pip install "easel[bitsandbytes,torchao]"'


@pytest.mark.parametrize(
    ("card", "expected"),
    [(6.0, "8"), (7.9, "8"), (8.6, "8"), (11.9, "12"), (15.8, "16"), (25.8, "16"), (85.0, "16")],
)
def test_a_card_gets_the_largest_profile_that_is_no_larger(card: float, expected: str) -> None:
    cards = {each: {"transformer": each} for each in ("16", "8", "12")}
    assert profile(cards, card * GB) == {"transformer": expected}


def test_a_model_without_profiles_has_none() -> None:
    assert profile({}, 8 * GB) == {}


def test_what_comes_for_each_prompt_is_what_does_not_fit_together() -> None:
    sizes = {"vae": 1, "transformer": 12, "text_encoder": 8}
    assert turns(sizes, 21) == (0, ())
    size, names = turns(sizes, 13)
    assert size == 20 + ("vae" in names) and set(names) - {"vae"} == {"text_encoder", "transformer"}


# --- what diffusers is told -------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    index = {
        "_class_name": "ZImagePipeline",
        "transformer": ["diffusers", "ZImageTransformer2DModel"],
        "text_encoder": ["transformers", "Qwen3Model"],
    }
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    return tmp_path


def test_each_library_quantises_its_own_components(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, dict[str, Any]]] = []

    def config(library: str) -> Any:
        return lambda **given: made.append((library, given)) or f"{library}'s"

    monkeypatch.setattr(quantising.diffusers, "BitsAndBytesConfig", config("diffusers"))
    monkeypatch.setattr(quantising.transformers, "BitsAndBytesConfig", config("transformers"))
    monkeypatch.setattr(
        quantising.diffusers, "PipelineQuantizationConfig", lambda quant_mapping: quant_mapping
    )
    entry: Any = SimpleNamespace(source=str(folder))
    given = quantising.options(entry, {"transformer": "nf4", "text_encoder": "int8"}, torch.bfloat16)
    assert given == {"quantization_config": {"transformer": "diffusers's", "text_encoder": "transformers's"}}
    assert made == [
        (
            "diffusers",
            {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.bfloat16},
        ),
        ("transformers", {"load_in_8bit": True}),
    ]
    assert quantising.options(entry, {}, torch.bfloat16) == {}


def test_a_denoiser_from_a_gguf_file_takes_the_place_of_the_models_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    class Made:
        @classmethod
        def from_single_file(cls, file: str, **given: Any) -> str:
            asked.update(given, file=file)
            return "the denoiser"

    (folder / "q4.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(diffusers, "ZImageTransformer2DModel", Made)
    entry: Any = SimpleNamespace(source=str(folder))
    how = {"transformer": f"gguf:{folder / 'q4.gguf'}"}
    assert quantising.options(entry, how, torch.bfloat16) == {"transformer": "the denoiser"}
    assert asked["file"] == str(folder / "q4.gguf") and asked["subfolder"] == "transformer"
    assert asked["config"] == str(folder) and asked["quantization_config"].compute_dtype is torch.bfloat16


def test_only_what_the_profile_names_and_whose_package_is_here_is_quantised(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry: Any = SimpleNamespace(source=str(folder), cards={"8": {"transformer": "nf4"}})
    monkeypatch.setattr(quantising, "footprint", lambda source, weight: {"transformer": 9 * GB, "vae": 1})
    monkeypatch.setattr(quantising, "fitted", lambda *given: fitted(*given, lambda package: True))
    assert quantising.methods(entry, 6.4 * GB, 8 * GB) == {"transformer": "nf4"}
    monkeypatch.setattr(quantising, "fitted", lambda *given: fitted(*given, lambda package: False))
    assert quantising.methods(entry, 6.4 * GB, 8 * GB) == {}
