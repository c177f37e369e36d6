"""Prompts that are longer than a text encoder takes: encoded in parts where the family can, else told.

Encoders of CLIP take 75 tokens. A longer prompt is cut into parts, at a comma where there is one near, and
the embeddings of the parts stand behind each other, as other programs do it. Other encoders take some hundred
tokens; what is behind those is left out, and it is noted which words that are.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch

from engine.families import Family
from engine.weights import Weighed

NEAR = 20  # tokens before the end of a part, in which a comma ends it


@dataclass(slots=True)
class Heard:
    """How much of a request's prompt the encoders have taken."""

    parts: int = 1  # in which it was encoded
    prompt: str = ""
    taken: list[int] = field(default_factory=list)  # characters, by each encoder

    @property
    def left_out(self) -> str:
        """Return the words that no encoder has taken."""
        end = max(self.taken, default=len(self.prompt))
        word = self.prompt.rfind(" ", 0, end + 1) + 1 if end < len(self.prompt) else end
        return self.prompt[word:].strip(" ,")


listening: ContextVar[Heard | None] = ContextVar("heard", default=None)
"""Where it is noted for the request that runs: each greenlet has its own."""


def arguments(family: Family, pipe: Any, prompt: Weighed, negative: str) -> dict[str, Any]:
    """Return the arguments that take a prompt's embeddings; none where the pipeline encodes its words.

    Note how much of it the encoders take.
    """
    heard = listening.get() or Heard()
    tokenizer = getattr(pipe, "tokenizer", None) or getattr(pipe, "tokenizer_2", None)
    if not family.embeddings or tokenizer is None:
        heard.prompt = prompt.plain
        _listen(pipe, heard)
        return _summed(family, pipe, prompt.texts, 1) if family.embeddings and len(prompt.texts) > 1 else {}
    heard.parts = max(len(parts_of(tokenizer, text)) for text, _factor in prompt.texts)
    parts = max(heard.parts, len(parts_of(tokenizer, negative)))
    if parts == 1:
        return _summed(family, pipe, prompt.texts, 1) if len(prompt.texts) > 1 else {}
    against = _summed(family, pipe, [(negative, 1.0)], parts)
    unwanted = {f"negative_{name}": each for name, each in against.items() if name in family.embeddings}
    return {**_summed(family, pipe, prompt.texts, parts), "negative_prompt": None, **unwanted}


def _summed(family: Family, pipe: Any, texts: Sequence[tuple[str, float]], parts: int) -> dict[str, Any]:
    """Return the arguments that take the sum of these texts' embeddings, each times its factor."""
    tokenizer = getattr(pipe, "tokenizer", None) or getattr(pipe, "tokenizer_2", None)
    summed: dict[str, Any] = {"prompt": None}
    for text, factor in texts:
        cut = parts_of(tokenizer, text) if parts > 1 else [text]
        encoded = [_encoded(family, pipe, part) for part in [*cut, *[""] * (parts - len(cut))]]
        for name in family.embeddings:
            whole = encoded[0][name]
            if whole.ndim == 3:  # else it stands for the whole text, which its beginning does best
                whole = torch.cat([each[name] for each in encoded], dim=1)
            summed[name] = summed.get(name, 0) + whole * factor
    return summed


def _encoded(family: Family, pipe: Any, text: str) -> dict[str, torch.Tensor]:
    more = {"prompt_2": None} if "prompt_2" in inspect.signature(pipe.encode_prompt).parameters else {}
    encoded = pipe.encode_prompt(
        prompt=text,
        device=pipe._execution_device,
        num_images_per_prompt=1,
        do_classifier_free_guidance=False,
        **more,
    )
    return {name: encoded[at] for name, at in family.embeddings.items()}


def parts_of(tokenizer: Any, text: str) -> list[str]:
    """Return a text in parts that an encoder takes."""
    room = tokenizer.model_max_length - 2  # a token begins each part, and one ends it
    parts: list[list[tuple[str, int]]] = [[]]
    for word, size in _words(tokenizer, text.split(), room):
        if sum(each for _word, each in parts[-1]) + size > room:
            parts.append(_behind_comma(parts[-1], min(NEAR, room - size)))
        parts[-1].append((word, size))
    return [" ".join(word for word, _size in part) for part in parts]


def _behind_comma(part: list[tuple[str, int]], most: int) -> list[tuple[str, int]]:
    """Take what is behind a comma out of a part, and return it; nothing where that is over `most` tokens."""
    at, tokens = len(part), 0
    while at > 1 and tokens <= most:
        if part[at - 1][0].endswith(","):
            behind = part[at:]
            del part[at:]
            return behind
        at, tokens = at - 1, tokens + part[at - 1][1]
    return []


def _words(tokenizer: Any, words: list[str], room: int) -> Iterator[tuple[str, int]]:
    """Yield words with their tokens; words of too many in pieces, as those without spaces between them."""
    if not words:
        return
    for word, tokens in zip(words, tokenizer(words, add_special_tokens=False).input_ids, strict=True):
        if len(tokens) <= room or len(word) == 1:
            yield word, len(tokens)
        else:
            yield from _words(tokenizer, [word[: len(word) // 2], word[len(word) // 2 :]], room)


def _listen(pipe: Any, heard: Heard) -> None:
    """Let the tokenizers of a request's own pipeline note how much they take of its prompt."""
    for name, part in list(vars(pipe).items()):
        if name.startswith("tokenizer") and getattr(part, "is_fast", False):
            vars(pipe)[name] = _Listener(part, heard)


class _Listener:
    """A tokenizer that notes where it has cut a prompt off."""

    def __init__(self, tokenizer: Any, heard: Heard) -> None:
        self._tokenizer, self._heard = tokenizer, heard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, text: Any, *given: Any, **options: Any) -> Any:
        result = self._tokenizer(text, *given, **options)
        if options.get("truncation"):
            for each in [text] if isinstance(text, str) else text:
                self._note(each, options)
        return result

    def _note(self, text: str, options: dict[str, Any]) -> None:
        begins = text.find(self._heard.prompt)
        if begins < 0:  # the negative prompt, say
            return
        same = {name: each for name, each in options.items() if name in ("max_length", "add_special_tokens")}
        cut = self._tokenizer(text, truncation=True, return_offsets_mapping=True, **same)
        ends = max((end for _start, end in cut["offset_mapping"]), default=0)
        self._heard.taken.append(min(max(ends - begins, 0), len(self._heard.prompt)))
