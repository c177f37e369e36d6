"""Loading models from folders and files, and what a pipeline is asked."""

from __future__ import annotations

import gc
import io
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import Krea2Pipeline
from PIL import Image
from safetensors.torch import save_file

from engine import catalog
from engine.errors import FlaggedPicture, InvalidPicture, InvalidRequest, ModelNotLoaded
from engine.families import family_of
from engine.pipelines import run as pipelines
from engine.pipelines.components import DeviceMemory
from engine.pipelines.upscale import Upscaler
from engine.types import GenerationRequest, ImageToImage
from tests import single_file
from tests.families import FAMILIES, noise

CPU = DeviceMemory.of(torch.device("cpu"), 0)


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def upscaler() -> Upscaler:
    return Upscaler.load()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Stable Diffusion, saved as anybody would save theirs."""
    where = tmp_path_factory.mktemp("model")
    pipelines.silence_libraries()
    FAMILIES["sd"](where).pipe.save_pretrained(where / "tiny-sd", safe_serialization=True)
    return where / "tiny-sd"


def request(**changes: Any) -> GenerationRequest:
    asked: dict[str, Any] = {"prompt": "abc", "seed": 3, "width": 32, "height": 48, "steps": 3, "count": 2}
    return GenerationRequest(**asked | changes)


def png(width: int = 40, height: int = 30) -> bytes:
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize((width, height)).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


def loaded(folder: Path, upscaler: Upscaler) -> pipelines.Loaded:
    return pipelines.load(catalog.load([str(folder)]).entry(folder.stem), CPU, upscaler)


@pytest.fixture(scope="module")
def model(folder: Path, upscaler: Upscaler) -> pipelines.Loaded:
    with torch.no_grad():
        return loaded(folder, upscaler)


def test_a_folder_of_ones_own_paints(model: pipelines.Loaded) -> None:
    told: list[tuple[int, int]] = []

    pixels = pipelines.paint(model, request(), 0, (), lambda *news: told.append(news[:2]))

    assert pixels.shape == (3, 48, 32)
    assert 0 <= float(pixels.min()) <= float(pixels.max()) <= 1
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("name", family_of("StableDiffusionPipeline").schedulers)
def test_a_request_has_the_scheduler_that_it_names(model: pipelines.Loaded, name: str) -> None:
    own = type(model.pipe.scheduler)
    started = ImageToImage(source="x", strength=0.3)

    def painted(scheduler: str, **changes: Any) -> torch.Tensor:
        asked = request(scheduler=scheduler, **changes)
        return pipelines.paint(model, asked, 0, [png()] * len(asked.sources), lambda *_: None)

    assert torch.equal(painted(name), painted(name))
    assert torch.equal(painted(name), painted("")) == (name == "ddim")  # which is the model's own
    for changes in ({"steps": 1}, {"steps": 60}, {"task": started}, {"task": started, "steps": 20}):
        assert painted(name, **changes).shape == (3, 48, 32)
    assert type(model.pipe.scheduler) is own


def test_a_scheduler_that_the_family_does_not_know_is_refused(model: pipelines.Loaded) -> None:
    with pytest.raises(InvalidRequest) as caught:
        pipelines.paint(model, request(scheduler="sparkle"), 0, (), lambda *_: None)

    assert caught.value.advice == "This model does not know that scheduler. Leave --scheduler out."


def test_each_picture_can_be_painted_again_alone(model: pipelines.Loaded) -> None:
    second = pipelines.paint(model, request(), 1, (), lambda *_: None)
    alone = pipelines.paint(model, request(seed=4), 0, (), lambda *_: None)

    assert torch.equal(second, alone)


@pytest.mark.parametrize(("strength", "steps"), [(0.0, 1), (0.01, 1), (0.34, 1), (0.67, 2), (0.99, 2)])
def test_a_source_picture_is_followed_by_its_strength(
    model: pipelines.Loaded, strength: float, steps: int
) -> None:
    told: list[tuple[int, int]] = []

    pixels = pipelines.paint(
        model,
        request(task=ImageToImage(source="s", strength=strength)),
        0,
        [png()],
        lambda *news: told.append(news[:2]),
    )

    assert pixels.shape == (3, 48, 32)
    assert len(told) == steps


def test_full_strength_ignores_the_source(model: pipelines.Loaded) -> None:
    with_source = pipelines.paint(
        model, request(task=ImageToImage(source="s", strength=1.0)), 0, [png()], lambda *_: None
    )

    assert torch.equal(with_source, pipelines.paint(model, request(), 0, (), lambda *_: None))


def test_an_enlargement_needs_no_painting(model: pipelines.Loaded) -> None:
    asked = request().enlarged("s", 40, 30)

    assert pipelines.paint(model, asked, 0, [png()], lambda *_: None).shape == (3, 120, 160)


def test_an_unreadable_source_is_an_invalid_request(model: pipelines.Loaded) -> None:
    with pytest.raises(InvalidRequest):
        pipelines.paint(
            model, request(task=ImageToImage(source="s", strength=0.5)), 0, [b"GIF89a"], lambda *_: None
        )


def test_previews_show_the_colours_of_the_picture(model: pipelines.Loaded) -> None:
    assert model.preview is not None
    previews: list[torch.Tensor] = []

    def report(
        step: int, steps: int, latents: torch.Tensor | None, size: tuple[int, int], lay: object = None
    ) -> None:
        assert latents is not None and model.preview is not None
        small = model.preview.picture(latents, *size)
        assert small is not None
        previews.append(small)

    pipelines.paint(model, request(), 0, (), report)

    assert [tuple(each.shape) for each in previews] == [(3, 24, 16)] * 3
    assert all(0 <= float(each.min()) <= float(each.max()) <= 1 for each in previews)


def test_weights_that_are_not_safetensors_are_not_loaded(folder: Path, upscaler: Upscaler) -> None:
    import shutil

    pickled = folder.parent / "pickled"
    shutil.copytree(folder, pickled, dirs_exist_ok=True)
    file = pickled / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save({"w": torch.zeros(1)}, file.with_suffix(".bin"))
    file.unlink()

    with pytest.raises(ModelNotLoaded):
        loaded(pickled, upscaler)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (
            "conditioner.embedders.1.model.transformer.resblocks.9.mlp.c_proj.bias",
            "StableDiffusionXLPipeline",
        ),
        ("joint_blocks.0.context_block.adaLN_modulation.1.bias", "StableDiffusion3Pipeline"),
        ("layers.0.adaLN_modulation.0.weight", "ZImagePipeline"),
        ("cond_stage_model.transformer.text_model.final_layer_norm.weight", "StableDiffusionPipeline"),
        ("cond_stage_model.model.token_embedding.weight", "StableDiffusionPipeline"),
        ("model.diffusion_model.single_stream_modulation.lin.weight", "Flux2Pipeline"),
        ("txtfusion.projector.weight", "Krea2Pipeline"),
        ("vector_in.in_layer.bias double_blocks.0.img_attn.norm.key_norm.scale", "FluxPipeline"),
    ],
)
def test_the_class_of_a_single_file_is_found_in_its_weights(tmp_path: Path, key: str, name: str) -> None:
    entry = file_of(tmp_path, *key.split(), "model.diffusion_model.pos_embed")

    assert pipelines._single_file_class(entry).__name__ == name


@pytest.mark.parametrize(
    "keys",
    [
        "model.diffusion_model.input_blocks.0.0.weight",  # a denoiser without its text encoder
        "double_blocks.0.img_attn.norm.key_norm.scale",  # half of what tells FLUX.1
        "lora_unet_down_blocks_0.lora_down.weight",
        "text_model.embeddings.token_embedding.weight",
    ],
)
def test_a_single_file_of_unknown_weights_asks_for_its_class(tmp_path: Path, keys: str) -> None:
    with pytest.raises(ModelNotLoaded, match="name its class"):
        pipelines._single_file_class(file_of(tmp_path, keys))


def file_of(folder: Path, *weights: str) -> catalog.Entry:
    """A single file with weights of these names."""
    save_file({name: torch.zeros(1) for name in weights}, folder / "mine.safetensors")
    return catalog.load([str(folder / "mine.safetensors")]).entry("mine")


def test_a_single_file_of_ones_own_paints_what_its_folder_paints(
    folder: Path, model: pipelines.Loaded, upscaler: Upscaler, tmp_path: Path
) -> None:
    single_file.save(model.pipe, tmp_path / "mine.safetensors")
    (tmp_path / "mine.toml").write_text(f'config = "{folder}"\n')

    mine = loaded(tmp_path / "mine.safetensors", upscaler)

    assert mine.entry.local is not None and mine.entry.local.is_file()
    for asked, sources in ((request(), []), (request(task=ImageToImage(source="s", strength=0.5)), [png()])):
        expected = pipelines.paint(model, asked, 0, sources, lambda *_: None)
        assert torch.equal(pipelines.paint(mine, asked, 0, sources, lambda *_: None), expected)


def test_a_sidecar_names_the_class_of_a_single_file(tmp_path: Path) -> None:
    save_file({"w": torch.zeros(1)}, tmp_path / "mine.safetensors")
    (tmp_path / "mine.toml").write_text('pipeline = "FluxPipeline"\n')
    entry = catalog.load([str(tmp_path / "mine.safetensors")]).entry("mine")

    assert pipelines._single_file_class(entry).__name__ == "FluxPipeline"


def test_klein_paints_by_a_picture_that_it_takes_without_a_strength(
    tmp_path: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = FAMILIES["flux2_klein"](tmp_path).pipe
    pipe.set_progress_bar_config(disable=True)
    embeds, seen = noise(1, 1, 12, 16), []
    monkeypatch.setattr(
        type(pipe), "encode_prompt", lambda self, **_: (embeds, self._prepare_text_ids(embeds)), raising=True
    )
    encode = pipe._encode_vae_image
    pipe._encode_vae_image = lambda image, generator: seen.append(image.shape) or encode(image, generator)
    entry = catalog.load(["flux2-klein"]).entry("flux2-klein")
    klein = pipelines.Loaded(entry, pipe, [], None, upscaler)
    asked = request(width=64, height=64, guidance=1.0)

    alone = pipelines.paint(klein, asked, 0, (), lambda *_: None)
    steps: list[int] = []
    varied = pipelines.paint(
        klein,
        replace(asked, task=ImageToImage(source="s", strength=0.3)),
        0,
        [png()],
        lambda *news: steps.append(news[0]),
    )

    assert seen == [(1, 3, 64, 64)]
    assert steps == [1, 2, 3]
    assert varied.shape == alone.shape == (3, 64, 64)
    assert not torch.equal(varied, alone)


def test_a_model_that_starts_from_no_picture_says_so(folder: Path, upscaler: Upscaler) -> None:
    krea = pipelines.Loaded(
        catalog.load(["sdxl"]).entry("sdxl"), Krea2Pipeline.__new__(Krea2Pipeline), [], None, upscaler
    )

    with pytest.raises(InvalidRequest) as refused:
        pipelines.paint(
            krea, request(task=ImageToImage(source="s", strength=0.5)), 0, [png()], lambda *_: None
        )

    assert "Leave it out" in refused.value.advice


def test_siblings_keep_the_precision_of_the_weights(folder: Path, upscaler: Upscaler) -> None:
    model = loaded(folder, upscaler)
    model.pipe.to(torch.bfloat16)

    sibling = model.pipe_for("image_to_image")

    assert sibling.unet is model.pipe.unet
    assert sibling.unet.dtype == torch.bfloat16


def test_one_flat_colour_is_no_picture(model: pipelines.Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = model.pipe.vae.decode

    def black(*args: Any, **kwargs: Any) -> Any:
        return (torch.full_like(decode(*args, **kwargs)[0], -1.0),)

    monkeypatch.setattr(model.pipe.vae, "decode", black)

    with pytest.raises(InvalidPicture):
        pipelines.paint(model, request(), 0, (), lambda *_: None)


def test_a_picture_that_the_model_s_checker_flags_is_said_to_be_that(
    model: pipelines.Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def checked(pipe: Any, pixels: Any, *args: Any) -> Any:
        return torch.zeros_like(pixels), [True]

    monkeypatch.setattr(type(model.pipe), "run_safety_checker", checked)

    with pytest.raises(FlaggedPicture) as caught:
        pipelines.paint(model, request(), 0, (), lambda *_: None)
    assert "safety checker flagged the image" in caught.value.advice and not caught.value.of_engine


def test_an_unloaded_model_leaves_the_memory(folder: Path, upscaler: Upscaler) -> None:
    model = loaded(folder, upscaler)
    unet = weakref.ref(model.pipe.unet)

    model.unload()
    del model
    gc.collect()

    assert unet() is None


def test_weights_in_a_prompt_reach_the_picture(model: pipelines.Loaded) -> None:
    def painted(prompt: str, **changes: Any) -> torch.Tensor:
        return pipelines.paint(model, request(prompt=prompt, **changes), 0, (), lambda *_: None)

    def differ(one: torch.Tensor, other: torch.Tensor) -> bool:
        return float((one - other).abs().max()) > 1e-3

    assert differ(painted("fox::2 snow::1"), painted("fox::1 snow::2"))
    assert differ(painted("a (red:1.5) fox"), painted("a red fox"))
    assert not differ(painted("fox::2"), painted("fox"))
    unwanted = painted("fox::1 snow::-0.5")
    assert not differ(unwanted, painted("fox", negative_prompt="snow")) and differ(unwanted, painted("fox"))


def test_a_family_whose_embeddings_cannot_be_added_gets_the_words(
    model: pipelines.Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(type(model), "family", replace(model.family, embeddings={}))
    grey = torch.zeros(3, 8, 8)

    def call(pipe: Any, arguments: dict[str, Any], *_: Any) -> torch.Tensor:
        asked.append(arguments["prompt"])
        return grey

    monkeypatch.setattr(pipelines, "_call", call)
    pipelines.paint(model, request(prompt="(red:1.5) fox::2 snow"), 0, (), lambda *_: None)
    assert asked == ["red fox, snow"]
