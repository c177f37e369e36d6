"""Rows with different LoRAs share a pass, and each is painted as with the LoRA in the weights themselves."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import loras
from engine.catalog import Entry
from engine.families import families, family_of
from engine.loras import Lora, Loras, LoraUnusable
from engine.pipelines import lora as lora_files
from engine.pipelines import run as pipelines
from engine.pipelines.batching import Request
from engine.pipelines.components import DeviceMemory
from engine.types import GenerationRequest, LoraInfo, LoraWeight, ModelInfo
from tests import loras as made
from tests.families import FAMILIES, Family
from tests.unit.test_batching import EXACT, Hub, _quiet, call, difference

__all__ = ["_quiet"]

CPU = torch.device("cpu")
INFO = ModelInfo(name="tiny", title="", licence="", width=32, height=32, steps=2, guidance=2.0)
NOTHING: Any = None

# Whose denoiser sees all rows of a pass in each of its layers that LoRAs usually change.
MIXING = ("sd", "sdxl", "sd3", "flux", "qwen", "flux2_klein", "chroma", "krea2", "z_image")


def memory() -> DeviceMemory:
    return DeviceMemory(CPU, float("inf"))


def lora(path: Path, **info: Any) -> Lora:
    return Lora(info=LoraInfo(name=path.stem, **info), path=path)


def adapter(path: Path, pipe: Any, **info: Any) -> lora_files.Adapter:
    return lora_files.load(lora(path, **info), pipe, memory(), torch.float32)


def loaded(hub: Hub, pipe: Any) -> pipelines.Loaded:
    return pipelines.Loaded(Entry(info=INFO, source=""), pipe, hub.points, None, NOTHING)


def wanting(model: pipelines.Loaded, run: Callable[[], Any], *wanted: LoraWeight) -> Callable[[], Any]:
    """A call that has these LoRAs."""
    request = GenerationRequest(prompt="x", seed=1, loras=wanted)

    def with_them() -> Any:
        with model.loras.of(request):
            return run()

    return with_them


SETS = (
    (),
    (LoraWeight("a", 0.8),),
    (LoraWeight("b", -0.5),),
    (LoraWeight("a", 0.3), LoraWeight("b", 1.0)),
    (LoraWeight("a", 0.8),),
)

SEEDS = (2, 4, 8, 10, 14)  # of one size, and without a picture to paint by


def stock(family: Family, seed: int, weights: dict[str, made.Weights], wanted: tuple[LoraWeight, ...]) -> Any:
    """The picture by the plain pipeline, with the LoRAs in its weights."""
    undo = [made.merged(family.pipe, weights[each.name], each.weight) for each in wanted]
    try:
        return call(family, seed)()
    finally:
        for each in reversed(undo):
            each()


@pytest.mark.parametrize("name", MIXING)
def test_rows_with_different_loras_share_passes_and_equal_merged_weights(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name](tmp_path)
    family.pipe.set_progress_bar_config(disable=True)
    weights = {each: made.weights(family.pipe, seed) for seed, each in enumerate("ab")}
    files = [made.save(tmp_path, each, weights[each]) for each in weights]
    alone = [stock(family, seed, weights, wanted) for seed, wanted in zip(SEEDS, SETS, strict=True)]
    plain = call(family, SEEDS[1])()
    hub = Hub(family.pipe)
    model = loaded(hub, family.pipe)
    for file in files:
        model.loras.attach(adapter(file, family.pipe))
    random.seed(1)

    asked = zip(SEEDS, SETS, strict=True)
    requests = [hub.start(wanting(model, call(family, seed), *wanted)) for seed, wanted in asked]
    hub.finish()
    hub.close()

    assert difference(requests, alone) <= EXACT
    assert hub.widest == len(SETS)
    assert (alone[1] - plain).abs().max() > 10 * EXACT, "the LoRA changes nothing"


def test_text_encoders_have_loras_too(tmp_path: Path) -> None:
    family = FAMILIES["sd"](tmp_path)
    weights = {"a": made.weights(family.pipe, 3, "unet", "text_encoder")}
    alone = stock(family, 1, weights, (LoraWeight("a", 0.7),))
    plain = stock(family, 1, weights, ())
    hub = Hub(family.pipe)
    model = loaded(hub, family.pipe)
    model.loras.attach(adapter(made.save(tmp_path, "a", weights["a"]), family.pipe))

    # The same prompt, which the text encoder sees once for equal LoRAs, and once more without.
    requests = [
        hub.start(wanting(model, call(family, 1), *wanted)) for wanted in ((LoraWeight("a", 0.7),), ())
    ]
    hub.finish()
    hub.close()

    assert difference(requests, [alone, plain]) <= EXACT


@pytest.mark.parametrize("weight", [0.8, 0.0])
def test_a_call_outside_of_the_worker_has_its_loras(weight: float, tmp_path: Path) -> None:
    family = FAMILIES["sd"](tmp_path)
    weights = {"a": made.weights(family.pipe, 1)}
    alone = stock(family, 1, weights, (LoraWeight("a", weight),))
    hub = Hub(family.pipe)
    model = loaded(hub, family.pipe)
    model.loras.attach(adapter(made.save(tmp_path, "a", weights["a"]), family.pipe))

    assert float((wanting(model, call(family, 1), LoraWeight("a", weight))() - alone).abs().max()) <= EXACT
    assert torch.equal(call(family, 1)(), stock(family, 1, weights, ()))


def test_layers_that_do_not_see_rows_keep_different_sets_apart(tmp_path: Path) -> None:
    family = FAMILIES["z_image"](tmp_path)  # embeds the tokens of all its rows at once
    weights = {
        each: made.weights(family.pipe, seed, ends=(".2-1", ".1", ".to_q")) for seed, each in enumerate("ab")
    }
    alone = [stock(family, seed, weights, wanted) for seed, wanted in zip(SEEDS, SETS, strict=True)]
    hub = Hub(family.pipe)
    model = loaded(hub, family.pipe)
    for each in weights:
        model.loras.attach(adapter(made.save(tmp_path, each, weights[each]), family.pipe))

    asked = zip(SEEDS, SETS, strict=True)
    requests = [hub.start(wanting(model, call(family, seed), *wanted)) for seed, wanted in asked]
    hub.finish()
    hub.close()

    assert difference(requests, alone) <= EXACT
    assert hub.passes > 5 * len(set(SETS)), "only equal sets share passes"


# ---- files


def kohya(pipe: Any, weights: made.Weights, alpha: float) -> made.Weights:
    """The same LoRA as other trainers save it, with an alpha for each layer."""
    found: made.Weights = {}
    for name, each in weights.items():
        component, _, rest = name.partition(".")
        layer, _, end = rest.removesuffix(".weight").rpartition(".")
        prefix = {"unet": "lora_unet", "text_encoder": "lora_te_text_model"}[component]
        path = f"{prefix}_{layer.replace('.', '_')}"
        found[f"{path}.{'lora_down' if end == 'lora_A' else 'lora_up'}.weight"] = each
        found[f"{path}.alpha"] = torch.tensor(alpha)
    return found


def test_files_of_other_trainers_are_read_with_their_alphas(tmp_path: Path) -> None:
    pipe = FAMILIES["sd"](tmp_path).pipe
    weights = made.weights(
        pipe, 1, "unet", "text_encoder", ends=(".to_q", ".to_out.0", ".q_proj", ".fc1", ".conv1")
    )
    plain = adapter(made.save(tmp_path, "plain", weights), pipe)
    other = adapter(made.save(tmp_path, "kohya", kohya(pipe, weights, alpha=1.5)), pipe)

    assert {name: set(part.layers) for name, part in other.parts.items()} == {
        name: set(part.layers) for name, part in plain.parts.items()
    }
    for component, part in plain.parts.items():
        for name, layer in part.layers.items():
            same = other.parts[component].layers[name]
            assert torch.equal(same.down, layer.down)
            assert torch.equal(same.up, layer.up)
            assert (layer.scale, same.scale) == (1, 1.5 / made.RANK)


def test_what_peft_writes_into_the_metadata_is_heeded(tmp_path: Path) -> None:
    pipe = FAMILIES["sd"](tmp_path).pipe
    weights = made.weights(pipe, 1, ends=("mid_block.attentions.0.transformer_blocks.0.attn1.to_q", "conv1"))
    told = '{"unet.lora_alpha": 6, "unet.alpha_pattern": {"down_blocks.0.resnets.0.conv1": 9}}'
    read = adapter(made.save(tmp_path, "a", weights, {"lora_adapter_metadata": told}), pipe)

    scales = {name: layer.scale for name, layer in read.parts["unet"].layers.items()}
    assert scales["mid_block.attentions.0.transformer_blocks.0.attn1.to_q"] == 2
    assert scales["down_blocks.0.resnets.0.conv1"] == 3


@pytest.mark.parametrize("other", ["sdxl", "flux"])
def test_a_lora_for_another_model_is_refused_in_a_sentence(other: str, tmp_path: Path) -> None:
    weights = made.weights(FAMILIES[other](tmp_path).pipe, 1)
    pipe = FAMILIES["sd"](tmp_path).pipe

    with pytest.raises(LoraUnusable) as refused:
        adapter(made.save(tmp_path, "odd", weights), pipe)

    assert refused.value.advice == (
        "The LoRA odd was made for another model than this one. Leave it out, or choose another model."
    )


def test_the_families_of_a_lora_are_told_by_its_layers(tmp_path: Path) -> None:
    told, ends = {}, (*made.ATTENTION, ".to_qkv_mlp_proj", ".proj_mlp", ".img_mlp.net.2")
    for name in FAMILIES:
        family = FAMILIES[name](tmp_path)
        file = made.save(tmp_path, name, made.weights(family.pipe, 1, ends=ends))
        told[name] = loras._of_file(file).families
        assert family_of(type(family.pipe).__name__).name in told[name], name

    assert told["sd"] == {"Stable Diffusion", "Stable Diffusion Inpainting"}
    assert told["sdxl"] == {"Stable Diffusion XL", "Stable Diffusion XL Inpainting"}
    assert told["z_image"] == {"Z-Image"}
    assert told["flux"] == {"FLUX.1", "FLUX.1 Fill", "FLUX.1 Kontext", "Chroma"}
    assert told["flux2_klein"] == {"FLUX.2", "FLUX.2 klein"}
    assert told["qwen"] == {"Qwen-Image", "Qwen-Image-Edit", "Qwen-Image-Edit-Plus"}


@pytest.mark.parametrize(
    ("layer", "family"),
    [
        ("lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_k", "Stable Diffusion XL"),
        ("lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q", "Stable Diffusion"),
        ("unet.up_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_q", "Stable Diffusion"),
        ("lora_unet_double_blocks_0_img_attn_qkv", "FLUX.1"),
        ("diffusion_model.layers.0.attention.to_q", "Z-Image"),
        ("transformer.transformer_blocks.0.img_mlp.net.2", "Qwen-Image"),
        ("diffusion_model.blocks.0.attn.wq", "Krea 2"),
    ],
)
def test_layers_of_other_trainers_tell_the_family(layer: str, family: str, tmp_path: Path) -> None:
    end = "lora_down" if layer.startswith("lora_") else "lora_A"
    made.save(tmp_path, "x", {f"{layer}.{end}.weight": torch.zeros(2, 2)})

    assert family in (loras._of_file(tmp_path / "x.safetensors").families or ())


# ---- the folder


def sd_lora(folder: Path, name: str = "ink", **metadata: str) -> Path:
    layer = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    weights = {f"{layer}.lora_A.weight": torch.zeros(2, 4), f"{layer}.lora_B.weight": torch.zeros(4, 2)}
    return made.save(folder, name, weights, metadata)


def test_a_folder_offers_its_loras_to_the_models_they_fit(tmp_path: Path) -> None:
    sd_lora(tmp_path, "Ink Wash v2")
    (tmp_path / "Ink Wash v2.toml").write_text('title = "Ink"\nwords = "ink wash"\nterms = "open"\n')
    sd_lora(tmp_path, "pixel", **{"modelspec.trigger_phrase": "pixel art", "modelspec.title": "Pixels"})
    (tmp_path / "pixel.toml").write_text('models = ["mine"]')
    (tmp_path / "loras.toml").write_text('[far]\nsource = "somebody/far"\nfile = "far.safetensors"\n')

    found = loras.read(tmp_path)

    assert found.broken == {}
    assert found.of("mine", "StableDiffusionPipeline") == (
        LoraInfo(name="ink-wash-v2", title="Ink", words="ink wash", terms="open"),
        LoraInfo(name="pixel", title="Pixels", words="pixel art"),
        LoraInfo(name="far"),
    )
    assert [each.name for each in found.of("other", "StableDiffusionPipeline")] == ["ink-wash-v2", "far"]
    assert [each.name for each in found.of("mine", "ZImagePipeline")] == ["far"]
    assert found.of("mine", "CogView4Pipeline") == (), "this family takes none"


def _pickle(folder: Path) -> None:
    (folder / "x.ckpt").write_bytes(b"\x80\x04")


def _no_lora(folder: Path) -> None:
    made.save(folder, "x", {"conv_in.weight": torch.zeros(1)})


def _lokr(folder: Path) -> None:
    made.save(folder, "x", {"lora_unet_a.lokr_w1": torch.zeros(1)})


def _broken(folder: Path) -> None:
    (folder / "x.safetensors").write_bytes(b"nonsense")


def _twins(folder: Path) -> None:
    (folder / "more").mkdir()
    sd_lora(folder, "x")
    sd_lora(folder / "more", "X")


def _other_kind(folder: Path) -> None:
    made.save(folder, "x", {"transformer.video_blocks.0.lora_A.weight": torch.zeros(2, 2)})


def _key(folder: Path) -> None:
    sd_lora(folder, "x")
    (folder / "x.toml").write_text('trigger = "x"')


def _hub(folder: Path) -> None:
    (folder / "loras.toml").write_text('[x]\nsource = "somebody/x"\nfile = "x.bin"\n')


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_pickle, "is a pickle, which could run code and is not loaded: fetch it as .safetensors"),
        (_no_lora, "is no LoRA: name a whole model in MODEL, and leave it out of LORAS"),
        (_lokr, "is of a kind that is not read (LoKr): fetch a plain LoRA"),
        (_broken, "is not a readable safetensors file"),
        (_twins, "has the name of another one: rename the file"),
        (_other_kind, "is made for a model of another kind (it changes video_blocks_0): leave it out"),
        (_key, "its .toml has a key trigger: there are title, words, licence, terms, models"),
        (_hub, "loras.toml must name its source (owner/repository) and a .safetensors file"),
    ],
)
def test_what_is_wrong_with_a_lora_is_one_sentence(
    spoil: Callable[[Path], None], told: str, tmp_path: Path
) -> None:
    spoil(tmp_path)

    broken = loras.read(tmp_path).broken

    assert list(broken) == ["x"]
    assert broken["x"].startswith(told)


def test_a_lora_that_no_model_takes_is_named(tmp_path: Path) -> None:
    sd_lora(tmp_path)
    found = loras.read(tmp_path)

    assert list(found.misfits([("mine", "StableDiffusionPipeline")])) == []
    assert list(found.misfits([("mine", "ZImagePipeline")])) == [
        (
            "ink",
            "is made for Stable Diffusion or Stable Diffusion Inpainting, and no model here is that: "
            "leave it out of LORAS",
        )
    ]


def test_what_is_no_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(LoraUnusable, match="is no folder"):
        loras.read(tmp_path / "nowhere")
    assert loras.read("") == Loras()


def test_every_family_that_takes_loras_has_a_pipeline_that_reads_them() -> None:
    import diffusers

    for family in families():
        for kind in family.classes if family.loras else ():
            assert hasattr(getattr(diffusers, kind), "lora_state_dict"), kind


# ---- in the worker


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[tuple[pipelines.Loaded, Family]]:
    family = FAMILIES["sd"](tmp_path)
    hub = Hub(family.pipe)
    yield loaded(hub, family.pipe), family
    hub.close()


def test_words_of_a_lora_are_told_to_the_model_once(tiny: Any, tmp_path: Path) -> None:
    model, family = tiny
    for name, words in (("a", "Pixel Art"), ("b", "")):
        file = made.save(tmp_path, name, made.weights(family.pipe, 1))
        model.loras.attach(adapter(file, family.pipe, words=words))

    def told(prompt: str) -> str:
        wanted = LoraWeight("a"), LoraWeight("b")
        return str(model.loras.told(GenerationRequest(prompt=prompt, seed=1, loras=wanted)))

    assert told("a fox") == "a fox, Pixel Art"
    assert told("pixel art of a fox") == "pixel art of a fox"
    assert told("a fox::2 snow::1") == "a fox, Pixel Art::2 snow, Pixel Art::1"


def test_a_lora_that_is_not_loaded_is_said(tiny: Any) -> None:
    model, _family = tiny
    request = Request(wanting(model, lambda: 1, LoraWeight("gone")))

    request.resume()

    assert isinstance(request.error, LoraUnusable)
    assert request.error.advice == (
        "The LoRA gone is missing or broken. Leave it out, or ask an administrator."
    )


def test_unused_loras_leave_and_their_layers_are_left_alone(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, family = tiny
    for seed, name in enumerate("abc"):
        model.loras.attach(adapter(made.save(tmp_path, name, made.weights(family.pipe, seed)), family.pipe))
    one = model.loras.size // 3
    with model.loras.of(GenerationRequest(prompt="x", seed=1, loras=(LoraWeight("a"),))):
        pass  # the one used last now

    monkeypatch.setattr(lora_files, "KEPT", 2 * one)
    model.loras.leave({"b"})
    assert model.loras.missing([LoraWeight(each) for each in "abc"]) == ["c"]

    monkeypatch.setattr(lora_files, "KEPT", 0)
    model.loras.leave(())
    assert model.loras.size == 0
    assert not any(each._forward_hooks for each in family.pipe.unet.modules())
