"""What cannot be loaded is found from names and headers, each with a sentence; what can, passes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from bot import doctor
from engine import catalog
from engine.errors import ModelNotLoaded, UnknownModel
from engine.pipelines import run as pipelines
from engine.pipelines import structure
from engine.pipelines.components import DeviceMemory
from engine.pipelines.model_files import variant_of
from tests import single_file
from tests.families import FAMILIES


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("model")
    pipelines.silence_libraries()
    FAMILIES["sd"](where).pipe.save_pretrained(where / "tiny-sd", safe_serialization=True)
    return where / "tiny-sd"


@pytest.fixture
def model(sound: Path, tmp_path: Path) -> Path:
    """A copy of a sound model, to be damaged."""
    return Path(shutil.copytree(sound, tmp_path / "mine"))


UNET = "unet/diffusion_pytorch_model.safetensors"


def why(path: Path) -> str:
    """What is said of a model that start would not load; that it would not is tried, too."""
    finding = doctor._model(str(path))
    assert finding.ok is False and finding.remedy
    entry = catalog.load([str(path)]).entry(path.stem)
    with pytest.raises(ModelNotLoaded):
        pipelines.load(entry, DeviceMemory.of(torch.device("cpu"), 0), None)  # type: ignore[arg-type]
    return finding.detail


def loaded(path: Path) -> pipelines.Loaded:
    """Load it as start does."""
    entry, nobody = catalog.load([str(path)]).entry(path.stem), None
    return pipelines.load(entry, DeviceMemory.of(torch.device("cpu"), 0), nobody)  # type: ignore[arg-type]


def rewrite(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_sound_models_pass(model: Path, tmp_path: Path) -> None:
    assert doctor._model(str(model)).ok is True
    assert doctor._model("easel-tiny").ok is True
    sharded = FAMILIES["sd"](tmp_path)
    sharded.pipe.save_pretrained(tmp_path / "sharded", max_shard_size="200KB")
    assert len(list((tmp_path / "sharded" / "unet").glob("*.safetensors"))) > 1
    assert doctor._model(str(tmp_path / "sharded")).ok is True
    single_file.save(sharded.pipe, tmp_path / "single.safetensors")
    assert doctor._model(str(tmp_path / "single.safetensors")).ok is True


def test_missing_weights_are_named(model: Path) -> None:
    (model / UNET).unlink()
    assert why(model) == f"{model / 'unet'} lacks its weights ({Path(UNET).name}): fetch the model again"


def test_a_missing_part_is_named(model: Path) -> None:
    shutil.rmtree(model / "text_encoder")
    assert why(model) == f"{model / 'text_encoder'} is missing: fetch the model again"


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    FAMILIES["sd"](tmp_path).pipe.save_pretrained(tmp_path / "sharded", max_shard_size="200KB")
    shard = sorted((tmp_path / "sharded" / "unet").glob("*.safetensors"))[1]
    shard.unlink()
    assert f"unet lacks its weights ({shard.name})" in why(tmp_path / "sharded")


def test_a_variant_is_found_by_looking(model: Path) -> None:
    (model / UNET).rename(model / "unet" / "diffusion_pytorch_model.fp16.safetensors")

    assert doctor._model(str(model)).ok is True
    assert loaded(model).pipe.unet.conv_in.weight.isfinite().all()


@pytest.mark.parametrize(
    ("file", "variant"),
    [
        ("unet/diffusion_pytorch_model.safetensors", None),
        ("unet/diffusion_pytorch_model.fp16.safetensors", "fp16"),
    ],
)
def test_the_hub_is_not_asked_for_the_variant_of_what_was_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, variant: str | None
) -> None:
    asked: list[str] = []
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).touch()
    module: Any = pipelines
    monkeypatch.setattr(module, "snapshot", lambda name: tmp_path)
    monkeypatch.setattr(
        module.huggingface_hub, "list_repo_files", lambda name, revision: asked.append(name) or []
    )
    entry: Any = SimpleNamespace(local=None, source="somebody/model", revision="")
    assert pipelines._variant(entry) == variant and not asked


def test_shards_of_a_variant_are_found(tmp_path: Path) -> None:
    made, where = FAMILIES["sd"](tmp_path), tmp_path / "sharded"
    made.pipe.save_pretrained(where, max_shard_size="200KB", variant="fp16")
    assert not list((where / "unet").glob("diffusion_pytorch_model-*"))

    assert doctor._model(str(where)).ok is True
    assert type(loaded(where).pipe).__name__ == type(made.pipe).__name__
    sorted((where / "unet").glob("*.safetensors"))[1].unlink()
    assert "unet lacks its weights" in why(where)


@pytest.mark.parametrize(
    ("names", "variant"),
    [
        (
            ["unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.fp16.safetensors"],
            "fp16",
        ),
        (["unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors"], None),
        (["text_encoder/model.bf16-00001-of-00002.safetensors"], "bf16"),
        (["text_encoder/model-00001-of-00002.safetensors", "fp16.safetensors"], None),
        ([], None),
    ],
)
def test_a_variant_is_told_by_the_names_of_files(names: list[str], variant: str | None) -> None:
    assert variant_of(names) == variant


def test_pickles_alone_are_named(model: Path) -> None:
    file = model / UNET
    torch.save(load_file(file), file.with_suffix(".bin"))
    file.unlink()
    assert "holds its weights only as pickles, which are not loaded" in why(model)


def test_a_misspelt_class_gets_a_suggestion(model: Path) -> None:
    rewrite(model / "model_index.json", _class_name="StableDifusionPipeline")
    assert "names StableDifusionPipeline" in why(model) and "did you mean StableDiffusionPipeline?" in why(
        model
    )


def test_a_misspelt_class_of_a_part_gets_a_suggestion(model: Path) -> None:
    rewrite(model / "model_index.json", unet=["diffusers", "UNet2DConditonModel"])
    assert "did you mean UNet2DConditionModel?" in why(model)


@pytest.mark.parametrize("method", ["bitsandbytes", "torchao", "quanto"])
def test_a_quantised_part_without_its_library_is_named(model: Path, method: str) -> None:
    rewrite(model / "unet" / "config.json", quantization_config={"quant_method": method})
    library = {"quanto": "optimum.quanto"}.get(method, method)
    assert f"is quantised with {method}: install {library}" in doctor._model(str(model)).detail


def test_a_quantised_part_with_its_library_passes(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite(model / "unet" / "config.json", quantization_config={"quant_method": "torchao"})
    monkeypatch.setattr(structure, "_installed", lambda module: module == "torchao")
    assert doctor._model(str(model)).ok is True


def lora(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [f"unet.down_blocks.0.attn.to_{part}.lora_{half}.weight" for part in "qkv" for half in "AB"]
    save_file({name: torch.zeros(2, 2) for name in names}, path)
    return path


def test_a_lora_is_no_model(tmp_path: Path) -> None:
    assert "is a LoRA, which changes a model" in why(lora(tmp_path / "style.safetensors"))
    assert "is a LoRA" in why(lora(tmp_path / "folder" / "pytorch_lora_weights.safetensors").parent)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("flux-Q4_K_S.gguf", "is GGUF, which holds a part for other programs"),
        ("model.ckpt", "is a pickle, which could run code"),
        ("model.PT", "is a pickle, which could run code"),
        ("notes.txt", "is no model"),
    ],
)
def test_files_of_other_kinds_are_told_apart(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / name).write_bytes(b"GGUF")
    finding = doctor._model(str(tmp_path / name))

    assert finding.ok is False and says in finding.detail
    with pytest.raises(UnknownModel) as refused:  # what start says
        catalog.load([str(tmp_path / name)])
    assert says in refused.value.advice


def test_a_denoiser_alone_is_named(tmp_path: Path) -> None:
    names = ("double_blocks.0.img_attn.qkv.weight", "vector_in.in_layer.weight")
    save_file({name: torch.zeros(2, 2) for name in names}, tmp_path / "flux.safetensors")
    assert "holds the denoiser alone, without VAE and text encoder" in why(tmp_path / "flux.safetensors")
    halves = {name: torch.zeros(2, 2).to(torch.float8_e4m3fn) for name in names}
    save_file(halves, tmp_path / "fp8.safetensors")
    assert "is in fp8, which only other programs load" in why(tmp_path / "fp8.safetensors")


def test_a_file_of_no_known_kind_is_never_guessed(tmp_path: Path) -> None:
    save_file({"blocks.0.weight": torch.zeros(2, 2)}, tmp_path / "new.safetensors")
    assert "is of no known kind: name its class as `pipeline`" in why(tmp_path / "new.safetensors")


def test_a_hub_name_without_a_network_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    finding = doctor._model("someone/some-model")
    assert finding.ok is False and "HF_HUB_OFFLINE forbids" in finding.detail


def test_a_part_is_no_model(model: Path, tmp_path: Path) -> None:
    assert "is one part of a pipeline" in why(model / "unet")
    save_file(
        {"encoder.conv_in.weight": torch.zeros(1), "decoder.x": torch.zeros(1)}, tmp_path / "v.safetensors"
    )
    assert "is a VAE alone" in why(tmp_path / "v.safetensors")


def test_an_index_that_is_damaged_is_named(model: Path) -> None:
    (model / "model_index.json").write_text("{")
    assert "model_index.json cannot be read" in why(model)
    (model / "model_index.json").write_text("[]")
    assert "model_index.json is not what it should be" in why(model)


def test_a_file_of_another_program_is_named(tmp_path: Path) -> None:
    save_file({"model.diffusion_model.x.bitsandbytes__nf4": torch.zeros(1)}, tmp_path / "a.safetensors")
    assert "is quantised with bitsandbytes" in doctor._model(str(tmp_path / "a.safetensors")).detail
    save_file({"blocks.0.wscales": torch.zeros(1)}, tmp_path / "b.safetensors")
    assert "for another program" in doctor._model(str(tmp_path / "b.safetensors")).detail


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("steps = = 3", "easel.toml cannot be read"),
        ("\x00", "easel.toml cannot be read"),
        ("setps = 3", "has a key setps, which means nothing: did you mean steps?"),
        ("name = 'mine'", "has a key name, which means nothing"),
        ("xyzzy = 3", "there are title, "),
        ("steps = '3'", "says steps = '3': it must be a whole number."),
        ("steps = true", "says steps = True: it must be a whole number."),
        ("multiple = 0", "says multiple = 0: it must be 1 or more."),
        ("guidance = -1", "says guidance = -1: it must be a number."),
        ("title = 3", "says title = 3: it must be a text in quotation marks."),
        ("negative_prompt = 1", "it must be true or false."),
    ],
)
def test_defaults_that_cannot_be_read_are_named(model: Path, text: str, says: str) -> None:
    (model / "easel.toml").write_text(text)
    assert says in doctor._model(str(model)).detail
    with pytest.raises(ModelNotLoaded) as caught:
        catalog.load([str(model)])
    assert says in caught.value.advice


def test_defaults_of_every_kind_are_taken(model: Path) -> None:
    lines = 'title = "Mine"', "steps = 3", "guidance = 2", "seconds = 0.5", "negative_prompt = false"
    (model / "easel.toml").write_text("\n".join(lines))
    entry = catalog.load([str(model)]).entry("mine")
    assert (entry.info.title, entry.info.steps, entry.info.guidance) == ("Mine", 3, 2)
    assert (entry.seconds, entry.info.negative_prompt) == (0.5, False)
