"""The process that finds what words name, with a tiny model of random weights."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

from bot.errors import Refusal
from bot.images import segmenting
from bot.images.segmenting import ProcessSegmenter
from tests.families import clip_tokenizer

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clipseg")
    tokenizer = clip_tokenizer(folder / "words" if (folder / "words").mkdir() is None else folder)
    torch.manual_seed(0)
    config = CLIPSegConfig(
        text_config={**SMALL, "vocab_size": 2048, "max_position_embeddings": 77,
                     "eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id,
                     "pad_token_id": tokenizer.pad_token_id},
        vision_config={**SMALL, "image_size": 64, "patch_size": 16},
        projection_dim=32, reduce_dim=16, extract_layers=(0, 1), decoder_num_attention_heads=2,
        decoder_intermediate_size=32,
    )  # fmt: skip
    CLIPSegForImageSegmentation(config).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder / "model"


def png(size: tuple[int, int] = (80, 48)) -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(out, "PNG")
    return out.getvalue()


async def test_words_become_a_mask_of_the_picture_s_size(folder: Path) -> None:
    segmenter = ProcessSegmenter(str(folder))
    try:
        inside = await segmenter.mask(png(), "the cup")
        outside = await segmenter.mask(png((33, 65)), "the cup", outside=True)
    finally:
        await segmenter.close()

    assert inside and Image.open(io.BytesIO(inside)).size == (80, 48)
    assert outside and Image.open(io.BytesIO(outside)).size == (33, 65)


async def test_a_model_that_is_none_is_said_and_nothing_hangs(tmp_path: Path) -> None:
    segmenter = ProcessSegmenter(str(tmp_path))

    with pytest.raises(Refusal) as refused:
        await segmenter.mask(png(), "the cup")

    assert refused.value.notice.startswith("Easel cannot look for that just now.")


def answer(sure: Any) -> dict[str, Any]:
    values = np.asarray(sure, np.uint8)
    return {"side": len(values), "sure": base64.b64encode(values.tobytes()).decode()}


def test_what_the_model_is_not_sure_of_is_no_match() -> None:
    assert segmenting._mask(answer(np.full((8, 8), 60)), png(), outside=False) is None


def test_what_it_is_sure_of_is_marked() -> None:
    sure = np.zeros((8, 8))
    sure[:, :4] = 250
    mask = segmenting._mask(answer(sure), png(), outside=False)
    assert mask
    marked = np.asarray(Image.open(io.BytesIO(mask)))
    assert (marked[:, :36] == 255).all() and not marked[:, 48:].any()
    other = segmenting._mask(answer(sure), png(), outside=True)
    assert other and (np.asarray(Image.open(io.BytesIO(other))) == 255 - marked).all()
