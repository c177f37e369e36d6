"""ControlNets from folders, beside the model that they guide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import diffusers
import torch

from engine.families import Family
from engine.guides import ControlNet, GuideUnusable, missing
from engine.pipelines.batching import InterceptionPoint
from engine.pipelines.components import DeviceMemory, ModuleComponent, bytes_of
from engine.pipelines.making import MAKING
from engine.types import GuideInfo


@dataclass(slots=True)
class Control:
    """A loaded ControlNet. Its passes are joined with those of other requests."""

    info: GuideInfo
    network: Any
    point: InterceptionPoint
    component: ModuleComponent | None

    @property
    def size(self) -> int:
        """Return the bytes of its weights."""
        return bytes_of(self.network)

    @property
    def points(self) -> tuple[InterceptionPoint, ...]:
        """Return where its passes run."""
        return (self.point,)

    def unload(self) -> None:
        """Take it off the device."""
        self.point.restore()
        if self.component is not None:
            self.component.unload()

    def arguments(
        self, family: Family, kind: str, accepted: Any, picture: Any, weight: float
    ) -> dict[str, Any]:
        """Return the arguments of a pipeline's call that takes a control picture."""
        named = "control_image" if "control_image" in accepted else "image"
        given = {named: picture, "controlnet_conditioning_scale": float(weight)}
        if getattr(self.network.config, "num_mode", None) and family.controls:
            given["control_mode"] = family.controls.modes[kind]
        return given


def load(found: ControlNet, family: Family, memory: DeviceMemory, dtype: torch.dtype) -> Control:
    """Read a ControlNet from safetensors, without code of its own. Raises GuideUnusable."""
    name = found.info.name
    kind = getattr(diffusers, found.network)
    try:
        with MAKING:  # in the default type: any other would be that of all threads meanwhile
            network = kind.from_pretrained(str(found.path), use_safetensors=True, torch_dtype=torch.float32)
    except Exception as error:
        raise GuideUnusable(f"{found.path}: {error}", advice=missing(name)) from error
    network.to(dtype).eval().requires_grad_(False)
    component = memory.component(f"controlnet {name}", network)
    if component is None:
        network.to(memory.device)
    return of_network(found.info, network, family, component)


def of_network(
    info: GuideInfo, network: Any, family: Family, component: ModuleComponent | None = None
) -> Control:
    """Return a ControlNet whose passes wait for one another, as its family's do."""
    kind = type(network).__name__
    point = InterceptionPoint(
        f"controlnet {info.name}",
        network,
        "forward",
        alone=family.joins == "never",
        shared=family.shared.get(kind, frozenset()),
        row_lists=family.row_lists.get(kind, frozenset()) - {"return"},
        component=component,
    )
    return Control(info, network, point, component)
