"""Pictures guide painting by further weights: of each request its own, in passes that all share."""

from __future__ import annotations

import inspect
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from engine import catalog, guides
from engine.catalog import Entry
from engine.errors import InvalidRequest
from engine.families import families, family_of
from engine.guides import GuideUnusable
from engine.pipelines import control, image_prompts, sights
from engine.pipelines import run as pipelines
from engine.types import GenerationRequest, Guide, GuideInfo, ImageToImage, Inpaint
from tests import guides as made
from tests.families import FAMILIES, Family, sdxl_with_words
from tests.unit.test_batching import EXACT, Hub, _quiet, call, difference
from tests.unit.test_loras import INFO, NOTHING, loaded, memory

__all__ = ["_quiet"]

CANNY = GuideInfo(name="canny", takes="canny")
SEEDS = (2, 4, 6)


def edges(weight: float = 1.0) -> Guide:
    return Guide(kind="edges", picture="x", by="canny", weight=weight)


def controlled(model: pipelines.Loaded, family: Family, seed: int, weight: float = 0.7) -> Callable[[], Any]:
    """Request `seed` with a control picture of its own."""

    def run() -> Any:
        pipe, network = model.controlled("text_to_image", edges())
        own, generator = pipelines.private_copy(pipe), torch.Generator().manual_seed(seed)
        pipelines._seeded(own, generator, seed)
        options = {"guidance_scale": 2.0 + seed, **family.options(seed), "num_inference_steps": 4}
        if "true_cfg_scale" in options:
            del options["guidance_scale"]
        picture = made.picture(seed).resize((options["width"], options["height"]))
        accepted = inspect.signature(own.__call__).parameters
        more = network.arguments(model.family, "edges", accepted, picture, weight)
        return own(**options | more, generator=generator, output_type="pt").images

    return run


@pytest.mark.parametrize("name", made.CONTROLLED)
def test_requests_with_controls_of_their_own_share_passes(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name](tmp_path)
    family.pipe.set_progress_bar_config(disable=True)
    hub = Hub(family.pipe)
    model = loaded(hub, family.pipe)
    model.take_guide(control.of_network(CANNY, made.network(family.pipe), model.family))
    calls = [*(controlled(model, family, seed) for seed in SEEDS), call(family, 8)]
    calls.append(controlled(model, family, 2, weight=0.2))
    alone = [run() for run in calls]
    plain = call(family, 2, steps=4)()
    random.seed(1)

    requests = [hub.start(run) for run in calls]
    hub.finish()
    model.unload()

    assert difference(requests, alone) <= EXACT
    assert hub.widest >= len(SEEDS), "controls were never joined"
    assert (alone[0] - plain).abs().max() > 10 * EXACT, "the control changes nothing"
    assert (alone[0] - alone[-1]).abs().max() > 10 * EXACT, "its weight changes nothing"
    assert torch.equal(call(family, 2, steps=4)(), plain), "the model was changed"


def test_a_network_for_several_kinds_is_told_which(tmp_path: Path) -> None:
    family = FAMILIES["flux"](tmp_path)
    known = family_of(type(family.pipe).__name__)
    union = control.of_network(CANNY, made.network(family.pipe, modes=7), known)

    given = [
        union.arguments(known, kind, {"control_image": 1}, "p", 1)["control_mode"]
        for kind in ("edges", "depth", "pose")
    ]

    assert given == [0, 2, 4]
    union.unload()


# --- IP-Adapters


def stock(family: Family, folder: Path, seed: int, pictures: list[Image.Image], weight: float) -> Any:
    """The picture by diffusers' own way, which changes the model; of one prompt with its embeddings."""
    pipe = family.pipe
    pipe.load_ip_adapter(
        str(folder), subfolder="", weight_name="ip.safetensors", image_encoder_folder="image_encoder"
    )
    pipe.set_ip_adapter_scale(weight)
    size = pipe.image_encoder.config.image_size
    pipe.feature_extractor.size = {"shortest_edge": size}
    pipe.feature_extractor.crop_size = {"height": size, "width": size}
    try:
        return call(family, seed, ip_adapter_image=[pictures])()
    finally:
        pipe.unload_ip_adapter()
        pipe.register_modules(image_encoder=None, feature_extractor=None)


def seeing(
    model: pipelines.Loaded, run: Callable[[], Any], kind: Any, *seen: Image.Image, weight: float = 0.6
) -> Callable[[], Any]:
    def with_them() -> Any:
        weights = model.guide("ip")
        assert isinstance(weights, image_prompts.ImagePrompts)
        given = [Guide(kind=kind, picture="x", by="ip", weight=weight) for _ in seen]
        token = sights.seen.set((weights.sight(given, seen),))
        try:
            return run()
        finally:
            sights.seen.reset(token)

    return with_them


@pytest.mark.parametrize("make", [FAMILIES["sd"], sdxl_with_words])
def test_rows_see_pictures_of_their_own_as_by_diffusers(
    make: Callable[[Path], Family], tmp_path: Path
) -> None:
    family = make(tmp_path)
    family.pipe.set_progress_bar_config(disable=True)
    file = made.save_adapter(tmp_path / "ip", "ip", family.pipe)
    seen = [made.picture(1), made.picture(2), made.picture(3)]
    plain = call(family, 8)()
    alone = [
        stock(family, file.parent, 2, seen[:1], 0.6),
        stock(family, file.parent, 4, seen[1:], 0.3),
        plain,
    ]
    found = guides.read("", file.parent).found["ip"]
    assert isinstance(found, guides.IpAdapter)
    style = family_of(type(family.pipe).__name__).style_layers
    hub = Hub(family.pipe)
    model = loaded(hub, family.pipe)
    model.take_guide(image_prompts.load(found, family.pipe, style, memory(), torch.float32))

    requests = [
        hub.start(seeing(model, call(family, 2), "subject", seen[0])),
        hub.start(seeing(model, call(family, 4), "subject", *seen[1:], weight=0.3)),
        hub.start(call(family, 8)),
    ]
    hub.finish()
    styled = seeing(model, call(family, 2), "style", seen[0])()
    model.unload()

    assert difference(requests, alone) <= EXACT
    assert hub.widest > 1, "nothing was joined"
    assert (styled - alone[0]).abs().max() > 10 * EXACT or not model.guides
    assert torch.equal(call(family, 8)(), plain), "the model was changed"


# --- what is in folders


@pytest.fixture
def sd(tmp_path: Path) -> tuple[Family, Path]:
    """A twin, also as a folder."""
    family = FAMILIES["sd"](tmp_path)
    family.pipe.save_pretrained(tmp_path / "model")
    return family, tmp_path / "model"


def test_a_model_takes_the_weights_that_fit_it(sd: tuple[Family, Path], tmp_path: Path) -> None:
    family, model = sd
    folder = tmp_path / "nets"
    made.save_control(folder, "tiny-canny", family.pipe)
    made.save_control(folder, "Depth_v2", family.pipe)
    other = made.save_control(folder, "openpose-wide", family.pipe)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"cross_attention_dim": 768}))
    made.save_control(folder, "xl-canny", FAMILIES["sdxl"](tmp_path).pipe)
    made.save_adapter(tmp_path / "ip", "ip", family.pipe)

    found = guides.read(folder, tmp_path / "ip")
    info = catalog.load([str(model)], guides=found).models()[0]

    assert not found.broken
    assert {each.name: each.takes for each in info.guides} == {
        "depth_v2": "depth",
        "tiny-canny": "canny",
        "ip": "ip-adapter",
    }
    assert info.controls == ("edges", "depth")
    assert info.controlled == {"text_to_image", "image_to_image"}
    wrong = dict(found.misfits([(str(model), "StableDiffusionPipeline")]))
    assert wrong.keys() == {"openpose-wide", "xl-canny"}
    assert wrong["xl-canny"] == ("is made for Stable Diffusion XL of its widths, and no model here is that")


def test_what_cannot_be_used_is_said_in_a_sentence(sd: tuple[Family, Path], tmp_path: Path) -> None:
    family, _model = sd
    folder = tmp_path / "nets"
    empty = made.save_control(folder, "empty-canny", family.pipe)
    pickled = made.save_control(folder, "pickled-canny", family.pipe)
    for each in (empty, pickled):
        (each / "diffusion_pytorch_model.safetensors").unlink()
    (pickled / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04.")
    torn = made.save_control(folder, "torn-canny", family.pipe)
    (torn / "diffusion_pytorch_model.safetensors").write_bytes(b"\x10")
    made.save_control(folder, "something", family.pipe)
    told = made.save_control(folder, "told", family.pipe)
    (told / "easel.toml").write_text('takes = "depth"\nterms = "non-commercial"\n')
    odd = made.save_control(folder, "odd", family.pipe)
    (odd / "easel.toml").write_text('takes = "smell"\n')
    (folder / "no-config").mkdir()
    other = folder / "unet-canny"
    family.pipe.unet.save_pretrained(other)
    ip = made.save_adapter(tmp_path / "ip", "ip", family.pipe).parent
    (ip / "old.bin").write_bytes(b"\x80\x04.")
    save_file({"a": torch.zeros(1)}, ip / "lora.safetensors")
    save_file(
        {"ip_adapter.1.to_k_ip.weight": torch.zeros(1, 2), "image_proj.norm.weight": torch.zeros(1)},
        ip / "face.safetensors",
    )
    alone = made.adapter(family.pipe, width=48)
    save_file(alone, ip / "blind.safetensors")

    found = guides.read(folder, ip)

    assert found.found.keys() == {"told", "ip"}
    assert found.found["told"].info.terms == "non-commercial"
    pickle = "is a pickle, which could run code and is not loaded: fetch it as .safetensors"
    assert found.broken["empty-canny"] == "holds no .safetensors file: fetch it again"
    assert found.broken["pickled-canny"] == found.broken["old"] == pickle
    assert "is not a readable safetensors file" in found.broken["torn-canny"]
    assert found.broken["something"].startswith("does not tell what it takes: write takes = ")
    assert found.broken["odd"].startswith("its .toml says takes = 'smell': it must be one of canny")
    assert found.broken["no-config"] == "has no readable config.json, so it is not in diffusers' form"
    assert found.broken["unet-canny"].startswith("is a UNet2DConditionModel, which no family here takes")
    assert found.broken["lora"] == "is no IP-Adapter: take it out of IP_ADAPTERS"
    assert found.broken["face"].startswith("is of a kind that is not read")
    assert found.broken["blind"] == "needs an image encoder with projection_dim 48: put its folder beside it"
    with pytest.raises(GuideUnusable, match="is no folder"):
        guides.read(tmp_path / "nowhere")


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("side", [1, 32, 50])
@pytest.mark.parametrize("mode", ["RGB", "CMYK", "I;16"])
def test_a_request_is_painted_by_weights_from_folders(
    mode: str, side: int, sd: tuple[Family, Path], tmp_path: Path
) -> None:
    family, model = sd
    folder = tmp_path / "nets"
    made.save_control(folder, "canny", family.pipe)
    made.save_adapter(tmp_path / "ip", "ip", family.pipe)
    found = guides.read(folder, tmp_path / "ip").found
    hub = Hub(family.pipe)
    ready = pipelines.Loaded(Entry(info=INFO, source=str(model)), family.pipe, hub.points, None, NOTHING)
    for each in found.values():
        ready.take_guide(pipelines.load_guide(each, ready, memory()))
    picture = made.picture(1, side)
    blob = io.BytesIO()
    converted = picture.convert("L").convert("I;16") if mode == "I;16" else picture.convert(mode)
    converted.save(blob, "TIFF" if mode == "CMYK" else "PNG")
    source = blob.getvalue() if mode != "CMYK" else png(picture)
    style = Guide(kind="style", picture="y", by="ip")
    request = GenerationRequest(prompt="x", seed=1, width=32, height=32, steps=2, count=1)

    def painted(**more: Any) -> torch.Tensor:
        asked = GenerationRequest(
            **{
                **{
                    name: getattr(request, name)
                    for name in ("prompt", "seed", "width", "height", "steps", "count")
                },
                **more,
            }
        )
        return pipelines.paint(ready, asked, 0, [source] * len(asked.sources), lambda *_: None)

    plain = painted()
    by_both = painted(guides=(edges(), style))
    varied = painted(guides=(edges(),), task=ImageToImage(source="s", strength=0.6))

    assert by_both.shape == plain.shape == varied.shape == (3, 32, 32)
    assert (by_both - plain).abs().max() > 10 * EXACT
    with pytest.raises(InvalidRequest, match="with a control"):
        ready.controlled("inpaint", edges())
    with pytest.raises(GuideUnusable):
        ready.guide("gone")
    ready.unload()


def test_every_class_that_takes_a_control_picture_is_one_of_diffusers() -> None:
    import diffusers

    for family in families():
        if family.controls:
            assert hasattr(diffusers, family.controls.network)
            for task, name in family.controls.pipelines.items():
                accepted = inspect.signature(getattr(diffusers, name).__call__).parameters
                assert {"control_image", "image"} & accepted.keys(), name
                assert "controlnet_conditioning_scale" in accepted, name
                assert ("strength" in accepted) == (task == "image_to_image"), name


def test_a_request_with_guides_survives_its_row() -> None:
    guided = (
        Guide(kind="edges", picture="made", by="canny", weight=0.5, of="source"),
        Guide(kind="style", picture="s", by="ip"),
    )
    request = GenerationRequest(prompt="x", seed=1, guides=guided, task=Inpaint(source="a", mask="b"))

    again = GenerationRequest.from_json(json.loads(json.dumps(request.to_json())))

    assert again == request
    assert request.sources == ("a", "b", "made", "source", "s") and request.source == "a"
    moved = request.starting_from("1", "2", "3", "4", "5")
    assert moved.sources == ("1", "2", "3", "4", "5") and moved.guides[0].of == "4"
