"""IP-Adapters from files: an image encoder, a projection, and what is added to attentions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file
from transformers import CLIPVisionModelWithProjection

from engine.guides import GuideUnusable, IpAdapter, missing
from engine.pipelines.batching import InterceptionPoint
from engine.pipelines.components import DeviceMemory, ModuleComponent, bytes_of
from engine.pipelines.making import MAKING
from engine.pipelines.sights import Attentions, Sight
from engine.types import Guide, GuideInfo

_MEAN, _SPREAD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # CLIP's
_ENCODER = "image encoder"


@dataclass(slots=True)
class ImagePrompts:
    """A loaded IP-Adapter. The encoder's passes are joined with those of other requests."""

    info: GuideInfo
    encoder: Any
    projection: Any
    attentions: Attentions
    style: frozenset[str]  # the attentions that carry the style
    points: tuple[InterceptionPoint, ...]
    components: tuple[ModuleComponent, ...]

    @property
    def size(self) -> int:
        """Return the bytes of its weights."""
        return sum(map(bytes_of, (self.encoder, self.projection, self.attentions)))

    def sight(self, guides: Sequence[Guide], pictures: Sequence[Image.Image]) -> Sight:
        """Return what a request sees of pictures that are for one thing."""
        first = guides[0]
        pairs = [self._tokens(each) for each in pictures]
        every = frozenset(self.attentions.layers)
        return Sight(
            self.attentions,
            self.style if first.kind == "style" and self.style else every,
            torch.cat([each for each, _none in pairs], dim=1),
            torch.cat([each for _seen, each in pairs], dim=1),
            first.weight,
        )

    def unload(self) -> None:
        """Take it off the device."""
        for point in self.points:
            point.restore()
        for component in self.components:
            component.unload()

    def _tokens(self, picture: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the tokens of a picture, and those of none, each (1, tokens, width)."""
        weight = next(self.projection.parameters())
        pixels = self._pixels(picture).to(weight)
        if _sees_layers(self.projection):
            looks = [
                self.encoder(each, output_hidden_states=True).hidden_states[-2]
                for each in (pixels, torch.zeros_like(pixels))
            ]
        else:
            look = self.encoder(pixels).image_embeds
            looks = [look, torch.zeros_like(look)]
        seen, unseen = (self.projection(each.to(weight)) for each in looks)
        return seen, unseen

    def _pixels(self, picture: Image.Image) -> torch.Tensor:
        side = self.encoder.config.image_size
        fitted = ImageOps.fit(picture.convert("RGB"), (side, side), Image.Resampling.BICUBIC)
        values = torch.frombuffer(bytearray(fitted.tobytes()), dtype=torch.uint8).view(side, side, 3) / 255
        return ((values - torch.tensor(_MEAN)) / torch.tensor(_SPREAD)).permute(2, 0, 1)[None]


def _sees_layers(projection: Any) -> bool:
    """Return whether a projection takes what a layer of the encoder sees, not the whole picture's vector."""
    return hasattr(projection, "latents")


def load(adapter: IpAdapter, pipe: Any, style: str, memory: DeviceMemory, dtype: torch.dtype) -> ImagePrompts:
    """Read an IP-Adapter for a pipeline with a U-Net; `style` tells the layers of styles.

    Raises GuideUnusable.
    """
    name = adapter.info.name
    try:
        state = load_file(adapter.path)
        with MAKING:
            encoder = CLIPVisionModelWithProjection.from_pretrained(
                str(adapter.encoder), use_safetensors=True, trust_remote_code=False, dtype=torch.float32
            )
            projection = pipe.unet._convert_ip_adapter_image_proj_to_diffusers(
                _part(state, "image_proj."), low_cpu_mem_usage=False
            )
        layers = _layers(pipe.unet, _part(state, "ip_adapter."), dtype)
    except Exception as error:
        raise GuideUnusable(f"{name}: {error}", advice=missing(name)) from error
    attentions = Attentions(layers)
    modules = {_ENCODER: encoder, "image projection": projection, "image attentions": attentions}
    components = {}
    for part, module in modules.items():
        module.to(dtype).eval().requires_grad_(False)
        components[part] = memory.component(part, module)
        if components[part] is None:
            module.to(memory.device)
    attentions.component = components["image attentions"]
    points = tuple(
        InterceptionPoint(part, modules[part], "forward", component=components[part])
        for part in (_ENCODER, "image projection")
    )
    there = tuple(each for each in components.values() if each is not None)
    marked = frozenset(each for each in layers if style and re.match(style, each))
    return ImagePrompts(adapter.info, encoder, projection, attentions, marked, points, there)


def _part(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _layers(
    unet: Any, state: dict[str, torch.Tensor], dtype: torch.dtype
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return keys and values by the name of an attention. Raises KeyError or ValueError for another model's.

    Files number them in the order of the U-Net's attentions, of which every second joins the text.
    """
    names = [each.removesuffix(".processor") for each in unet.attn_processors]
    crossing = [each for each in names if not each.endswith("attn1") and "motion_modules" not in each]
    if len(state) != 2 * len(crossing):
        raise ValueError(f"it has {len(state) // 2} attentions, and the model {len(crossing)}")
    found = {}
    for number, name in enumerate(crossing):
        pair = tuple(state[f"{2 * number + 1}.to_{part}_ip.weight"].to(dtype) for part in "kv")
        to_k = unet.get_submodule(name).to_k
        wanted = to_k.out_features, to_k.in_features
        if any(each.shape != wanted for each in pair):
            raise ValueError(f"its sizes are not those of {name}")
        found[name] = (pair[0], pair[1])
    return found
