"""Pipelines with random weights, made on the device itself: no network, no weights, no detour over the CPU.

`configurations/` holds what the models' own configuration files say, and for each module what makes it tiny.
"""

from __future__ import annotations

import importlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import diffusers
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from engine.catalog import Entry
from engine.pipelines import run as pipelines
from tests.families import clip_tokenizer
from tests.gpu.card import Card

FOLDER = Path(__file__).with_name("configurations")
OWNER = "random"  # `random/klein` is the model of `configurations/klein.json`, its weights made up


@dataclass(frozen=True)
class Recipe:
    """What a pipeline is made of."""

    name: str
    tiny: bool
    data: dict[str, Any]

    @classmethod
    def read(cls, name: str, *, tiny: bool = False) -> Recipe:
        return cls(name, tiny, json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")))

    @property
    def side(self) -> int:
        """Pixels of the model's usual picture."""
        return self.scaled(self.data["side"])

    @property
    def steps(self) -> int:
        """Denoising steps of a picture that is measured; for some models fewer than people would ask for."""
        return min(2, self.data["steps"]) if self.tiny else int(self.data["steps"])

    def scaled(self, side: int) -> int:
        return side // 32 if self.tiny else side

    def modules(self) -> Iterator[tuple[str, Any, dict[str, Any]]]:
        """Return each module's name, class and configuration."""
        for name, module in self.data["modules"].items():
            library, kind = module["class"].split(".")
            config = _merged(module["config"], module["tiny"]) if self.tiny else module["config"]
            yield name, getattr(importlib.import_module(library), kind), config


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes`, also in the dictionaries inside."""
    inner = {k: _merged(base[k], v) for k, v in changes.items() if isinstance(v, dict) and k in base}
    return base | changes | inner


def build(recipe: Recipe, card: Card, dtype: torch.dtype) -> Any:
    """Make the pipeline with random weights on the card. Raises torch.OutOfMemoryError."""
    parts: dict[str, Any] = {name: None for name in recipe.data["absent"]}
    for name, kind, config in recipe.modules():
        parts[name] = module(kind, config, card.device, dtype)
        card.admit(parts[name])
        randomise(parts[name], seed=len(parts))
    for name, kind in recipe.data["tokenizers"].items():
        parts[name] = TOKENIZERS[kind]()
    scheduler = recipe.data["scheduler"]
    parts["scheduler"] = getattr(diffusers, scheduler["class"])(**scheduler["config"])
    pipe = getattr(diffusers, recipe.data["pipeline"])(**parts, **recipe.data["options"])
    pipe.set_progress_bar_config(disable=True)
    return pipe


def module(kind: Any, config: dict[str, Any], device: torch.device, dtype: torch.dtype) -> torch.nn.Module:
    """Make one module where it is to run, as loading does: constants are computed in the weights' dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device), torch.no_grad():
            of_transformers = hasattr(kind, "config_class") and kind.config_class is not None
            made = kind(kind.config_class(**config)) if of_transformers else kind(**config)
    finally:
        torch.set_default_dtype(before)
    return made.eval().requires_grad_(False)  # type: ignore[no-any-return]


@torch.no_grad()
def randomise(made: torch.nn.Module, seed: int) -> None:
    """Give every weight a value that keeps sizes as they are, whatever its class had left there."""
    first = next(made.parameters())
    generator = torch.Generator(first.device).manual_seed(seed)
    for name, weight in made.named_parameters():
        if weight.ndim > 1:
            weight.normal_(0, weight[0].numel() ** -0.5, generator=generator)
        else:
            weight.fill_(1.0 if name.endswith("weight") else 0.0)


def sizes(pipe: Any) -> dict[str, int]:
    """Return the bytes of each module of a pipeline."""
    modules = {k: v for k, v in pipe.components.items() if isinstance(v, torch.nn.Module)}
    return {name: weight(each) for name, each in modules.items()}


def weight(made: torch.nn.Module) -> int:
    """Return the bytes of a module's parameters and buffers."""
    return sum(t.numel() * t.element_size() for t in (*made.parameters(), *made.buffers()))


def parameters(recipe: Recipe) -> dict[str, int]:
    """Return the parameters of each module, without making any."""
    meta = torch.device("meta")
    made = ((name, module(kind, config, meta, torch.bfloat16)) for name, kind, config in recipe.modules())
    return {name: sum(p.numel() for p in each.parameters()) for name, each in made}


def _clip() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return clip_tokenizer(Path(folder))


def _chat() -> Any:
    """Make a tokenizer that knows single characters, with a chat template."""
    characters = ["?", "\n", *(chr(code) for code in range(32, 127) if chr(code) != "?")]
    vocabulary = {each: number for number, each in enumerate(["<pad>", *characters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="?",
        pad_token="<pad>",
        model_max_length=1024,
        chat_template="{% for m in messages %}<user>{{ m['content'] }}</user>{% endfor %}<assistant>",
    )


TOKENIZERS = {"clip": _clip, "chat": _chat}


@contextmanager
def made_up(card: Card, *, tiny: bool) -> Iterator[None]:
    """Let the engine load `random/…` from its configuration instead of from files."""
    of_files = pipelines._from_source

    def source(entry: Entry, dtype: torch.dtype) -> Any:
        owner, _, name = entry.source.partition("/")
        return build(Recipe.read(name, tiny=tiny), card, dtype) if owner == OWNER else of_files(entry, dtype)

    with patch.object(pipelines, "_from_source", source):
        yield
