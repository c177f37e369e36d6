from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.numpy import save_file

from engine import catalog
from engine.errors import ModelNotLoaded, UnknownModel
from engine.types import GenerationRequest

np = pytest.importorskip("numpy")


def weights(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"w": np.zeros(4, np.float32)}, path)
    return path


def test_the_shipped_model_is_the_first_that_is_named() -> None:
    known = catalog.load(["easel-tiny", "sdxl"])

    assert [info.name for info in known.models()] == ["easel-tiny", "sdxl"]
    assert known.entry("easel-tiny").local is not None
    assert known.info("sdxl").width == 1024


def test_every_model_of_the_catalog_can_be_offered() -> None:
    names = list(catalog.tomllib.loads(catalog._CATALOG.read_text())["models"])

    for info in catalog.load(names).models():
        assert info.licence and info.title
        assert info.width % info.multiple == 0 and info.height % info.multiple == 0
        assert info.min_side <= info.width <= info.max_side


def test_a_folder_a_file_and_a_hub_name_are_models(tmp_path: Path) -> None:
    file = weights(tmp_path / "mine.safetensors")
    folder = tmp_path / "pipe"
    folder.mkdir()
    (folder / "easel.toml").write_text("width = 640\nsteps = 4\n")

    known = catalog.load([str(file), str(folder), "black-forest-labs/FLUX.2-klein-4B"])

    assert [info.name for info in known.models()] == ["mine", "pipe", "flux.2-klein-4b"]
    assert (known.info("pipe").width, known.info("pipe").steps) == (640, 4)
    assert known.entry("flux.2-klein-4b").local is None


def test_an_unknown_model_names_what_is_near() -> None:
    with pytest.raises(UnknownModel) as at_start:
        catalog.load(["sdxxl"])
    with pytest.raises(UnknownModel) as when_asked:
        catalog.load(["easel-tiny"]).entry("easle-tiny")

    assert "Did you mean sdxl?" in at_start.value.advice
    assert "Did you mean easel-tiny?" in when_asked.value.advice


def test_other_kinds_of_files_are_no_models(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt").write_bytes(b"\x80\x04")

    with pytest.raises(UnknownModel):
        catalog.load([str(tmp_path / "model.ckpt")])


def test_sound_files_pass(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    weights(tmp_path / "unet" / "model.safetensors")

    catalog.check_files(tmp_path)


@pytest.mark.parametrize("damage", ["pickle", "cut", "longer", "empty", "no header"])
def test_damaged_files_are_refused(tmp_path: Path, damage: str) -> None:
    file = weights(tmp_path / "model.safetensors")
    sound = file.read_bytes()
    file.write_bytes(
        {
            "pickle": b"\x80\x04\x95" + sound,
            "cut": sound[:-1],
            "longer": sound + b"x",
            "empty": b"",
            "no header": b"\xff" * 64,
        }[damage]
    )

    with pytest.raises(ModelNotLoaded):
        catalog.check_files(file)


def test_a_folder_without_an_index_or_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotLoaded, match="model_index"):
        catalog.check_files(tmp_path)
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(ModelNotLoaded, match="safetensors"):
        catalog.check_files(tmp_path)


def test_units_count_pixels_pictures_and_steps_that_run() -> None:
    entry = catalog.load(["easel-tiny"]).entry("easel-tiny")
    request = GenerationRequest(prompt="x", seed=1, steps=20, count=4)

    assert entry.units(request) == 80
    assert entry.units(request.variation("blob", 1, 0.5)) == 40
    assert entry.units(request.enlarged("blob", 512, 512)) == 16
