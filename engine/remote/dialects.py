"""What servers with OpenAI's images API take, each in its own words. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

_EXTRA = re.compile(r"</?sd_cpp_extra_args>", re.IGNORECASE)
"""What stable-diffusion.cpp reads inside a prompt; people's words never hold it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One kind of server. A field's name is empty where the server takes no such field."""

    seed: str = ""
    steps: str = ""
    guidance: str = ""
    negative: str = ""
    edits: bool = True  # takes images to change, at /images/edits
    masks: bool = True
    white: bool = True  # a mask is white where it is painted; else it is transparent there
    references: int = 16  # images of one edit
    streams: bool = False  # sends previews, as server-sent events
    response_format: bool = True  # must be asked for b64_json, and may be
    moderation: bool = False
    backgrounds: bool = False  # paints on a transparent background
    multiple: int = 16  # sizes are rounded to so many pixels
    least_pixels: int = 0  # of a picture; 0: any
    most_side: int = 2048
    sizes: tuple[tuple[int, int], ...] = ()  # the only ones; empty: any
    extra: bool = False  # reads further fields inside the prompt, as stable-diffusion.cpp does
    bar: bool = False  # reads what follows a "|" as a negative prompt, as LocalAI does


_DIFFUSERS = Dialect(
    seed="seed", steps="num_inference_steps", guidance="guidance_scale", negative="negative_prompt"
)
_FIXED = ((1024, 1024), (1536, 1024), (1024, 1536))

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        "openai": Dialect(),
        "vllm": replace(_DIFFUSERS, masks=False),
        "sglang": replace(_DIFFUSERS, masks=False),
        "sdcpp": Dialect(seed="seed", steps="sample_steps", guidance="txt_cfg", negative="negative_prompt",
                         extra=True, response_format=False, multiple=64),
        "localai": Dialect(seed="seed", steps="step", negative="negative_prompt", bar=True, edits=False,
                           masks=False, multiple=64),
    }
)  # fmt: skip
"""By the word in front of a model's address."""


def dialect(server: str, model: str) -> Dialect:
    """Return what a server takes; OpenAI's own models differ from each other by their names."""
    found = DIALECTS[server]
    if server != "openai":
        return found
    name = model.rpartition("/")[2].casefold()
    if name.startswith(("gpt-image-2", "chatgpt-image")):
        return replace(_GPT_IMAGE, sizes=(), least_pixels=655_360, most_side=3840, backgrounds=False)
    if name.startswith("gpt-image"):
        return _GPT_IMAGE
    if name.startswith("dall-e"):
        square = ((1024, 1024),)
        sizes = (
            (*square, (1792, 1024), (1024, 1792)) if name == "dall-e-3" else ((256, 256), (512, 512), *square)
        )
        return replace(found, sizes=sizes, edits=name == "dall-e-2", references=1, white=False)
    return found


_GPT_IMAGE = Dialect(
    streams=True, response_format=False, moderation=True, backgrounds=True, white=False, sizes=_FIXED
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One picture to ask for."""

    prompt: str
    negative: str = ""
    model: str = ""  # as the server knows it; empty: its own
    size: tuple[int, int]
    seed: int
    steps: int
    guidance: float
    quality: str = ""
    transparent: bool = False
    partial_images: int = 0
    images: tuple[bytes, ...] = field(default=(), repr=False)  # PNG; none: from words alone
    mask: bytes = field(default=b"", repr=False)  # PNG, white where it is painted


def plain(text: str) -> str:
    """Return words without what a server would read as an order of its operator."""
    before = ""
    while before != text:
        before, text = text, _EXTRA.sub(" ", text)
    return text.strip()


def fields(ask: Ask, to: Dialect) -> dict[str, Any]:
    """Return the fields of a request, without its images."""
    prompt, negative = plain(ask.prompt), plain(ask.negative)
    own = {to.seed: ask.seed, to.steps: ask.steps, to.guidance: ask.guidance, to.negative: negative}
    own = {name: value for name, value in own.items() if name and value != ""}
    if to.bar:
        prompt, negative = prompt.replace("|", ","), str(own.pop(to.negative, "")).replace("|", ",")
        prompt = f"{prompt}|{negative}" if negative else prompt
    if to.extra:
        prompt, own = f"{prompt} {_extra(own, to)}", {}
    wanted: dict[str, Any] = {"prompt": prompt, "n": 1, "size": f"{ask.size[0]}x{ask.size[1]}", **own}
    optional = {
        "model": ask.model,
        "quality": ask.quality,
        "response_format": "b64_json" if to.response_format else "",
        "output_format": "png" if to.streams else "",
        "background": "transparent" if ask.transparent else "",
    }
    wanted |= {name: value for name, value in optional.items() if value}
    if to.streams and ask.partial_images:
        wanted |= {"stream": True, "partial_images": ask.partial_images}
    return wanted


def _extra(own: Mapping[str, Any], to: Dialect) -> str:
    """Return the fields that stable-diffusion.cpp takes inside the prompt, in its own form."""
    steps = {to.steps: own[to.steps], "guidance": {to.guidance: own[to.guidance]}}
    told = {name: value for name, value in own.items() if name in (to.seed, to.negative)}
    return f"<sd_cpp_extra_args>{json.dumps({**told, 'sample_params': steps})}</sd_cpp_extra_args>"
