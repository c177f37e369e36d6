"""A family of diffusers pipelines: what it can do, and how it wants to be called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, assert_never, get_args

from engine.types import (
    Blend,
    CreativeUpscale,
    Edit,
    ImageToImage,
    Inpaint,
    Outpaint,
    PaintingTask,
    TaskKind,
    TextToImage,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Painting:
    """One picture to paint, as a family sees it."""

    prompt: str
    negative_prompt: str
    steps: int
    guidance: float
    width: int  # pixels that the pipeline paints
    height: int
    image: Any = None  # a Pillow image of that size, for tasks that start from one
    mask: Any = None  # a Pillow image of that size, white where it is painted, for parts of an image
    references: Sequence[Any] = ()  # Pillow images of any size, for families that take them


_KINDS: tuple[TaskKind, ...] = get_args(TaskKind)
_BY_IMAGE_TO_IMAGE: tuple[TaskKind, ...] = ("inpaint", "outpaint", "edit", "blend")
_REFERENCE_STRENGTH = 0.6  # above it, a family without a strength is told to leave its reference
_FREELY = " Use the given image only as a loose inspiration: change its composition, pose and background."


def _roles(task: Edit) -> list[str]:
    """Return sentences that say what each picture of an edit is for, where there are several or no target."""
    last = len(task.sources)
    subject, style = last - task.subject, last - task.subject - task.style
    said = []
    if not task.keep and style > 1:
        said.append(f"Blend {_images(1, style)} into one picture.")
    if task.keep and last > 1:
        said.append("Change image 1, and keep all else of it as it is.")
    if task.style:
        said.append(f"Take only the style and the colours of {_images(style + 1, subject)}, not the content.")
    if task.subject:
        said.append(f"The subject is that of {_images(subject + 1, last)}: keep how it looks.")
    return said


def _images(first: int, last: int) -> str:
    names = [f"image {number}" for number in range(first, last + 1)]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


Scheduler = tuple[str, Mapping[str, Any]]
"""A scheduler class of diffusers, and what replaces settings of the model's own scheduler."""

NOISE_SCHEDULERS: Mapping[str, Scheduler] = {
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "dpm++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "ddim": ("DDIMScheduler", {"clip_sample": False}),
    "unipc": ("UniPCMultistepScheduler", {}),
}
"""For models that were trained on a noise schedule of discrete steps. Latents are not clipped to −1 … 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraLayers:
    """By which layers a LoRA for a family is told: regular expressions on the names of those that it changes.

    Names are as in the denoiser, with "_" for "." and without what stands before the first block.
    """

    every: str  # how each begins
    some: str = ""  # in one of them
    none: str = ""  # in none of them

    def tell(self, names: Sequence[str]) -> bool:
        """Return whether a LoRA that changes the layers of these names may be for the family."""
        if not all(re.match(self.every, name) for name in names):
            return False
        found = [any(re.search(pattern, name) for name in names) for pattern in (self.some, self.none)]
        return (not self.some or found[0]) and not (self.none and found[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """How a family is guided by a control picture."""

    pipelines: Mapping[TaskKind, str]
    """The pipeline class for each task, which takes a ControlNet beside the family's own parts."""
    network: str
    """The class of its ControlNets."""
    told: Mapping[str, Any] = field(default_factory=dict)
    """Values in a ControlNet's configuration that tell it from another family's of that class."""
    modes: Mapping[str, int] = field(default_factory=dict)
    """The numbers of control kinds, for a ControlNet that takes several."""


Joins = Literal["always", "compared", "never"]
"""Whether calls are joined: as a test has compared it, once a worker has compared it, or never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family. Tensor and list arguments that it does not mention have a row for each picture."""

    name: str
    pipelines: Mapping[TaskKind, str]
    """The pipeline class for each task. A model may name any of them."""
    shared: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By module class: arguments without a row for each picture. Calls join only if these are equal."""
    row_lists: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By module class: lists with an item for each picture; "return" is the result."""
    joins: Joins = "always"
    """Whether calls of several pictures may be joined: "always" is for families that a test has compared."""
    negative_prompt: bool = True
    """Whether it takes one, and heeds it."""
    guidance: str = "guidance_scale"
    """The argument that takes classifier-free guidance."""
    strength: bool = True
    """Whether image-to-image says how far to leave the picture. Else the picture is a reference."""
    references: int = 0
    """Pictures that it is given at once to paint by, if those are references. More are laid side by side."""
    schedulers: Mapping[str, Scheduler] = field(default_factory=dict)
    """Those that a request may name. Each calls the model once a step, because costs count steps."""
    embeddings: Mapping[str, int] = field(default_factory=dict)
    """The arguments that take a prompt's embeddings, and where `encode_prompt` returns each.

    Only for families whose embeddings have one shape for all prompts, so that they can be added.
    """
    needs: tuple[str, ...] = ()
    """Python packages without which its models do not load, beside what Easel installs."""
    loras: LoraLayers | None = None
    """The layers of its LoRAs. None: it takes none."""
    controls: Controls | None = None
    """Its ControlNets. None: it takes none."""
    style_layers: str = ""
    """By which layers an IP-Adapter takes the style alone: a regular expression. Empty: it takes no such."""
    single_file: tuple[str, ...] = ()
    """Beginnings of weights' names that tell a single file of this family, all of them together."""

    @property
    def classes(self) -> frozenset[str]:
        """Return the names of all its pipeline classes."""
        return frozenset(self.pipelines.values())

    @property
    def tasks(self) -> frozenset[TaskKind]:
        """Return what its models do: what it has a pipeline for, and what can be done with those."""
        return frozenset(kind for kind in _KINDS if self.pipeline(kind) is not None)

    def pipeline(self, task: TaskKind) -> str | None:
        """Return the pipeline class that does a task, or None. What starts from a picture can do a part."""
        by_picture = task in _BY_IMAGE_TO_IMAGE or (task == "creative_upscale" and self.strength)
        own = self.pipelines.get(task)
        return self.pipelines.get("image_to_image") if own is None and by_picture else own

    def arguments(self, task: PaintingTask, painting: Painting) -> dict[str, Any]:
        """Return the keyword arguments of the task's pipeline call."""
        arguments: dict[str, Any] = {
            "prompt": painting.prompt,
            "negative_prompt": painting.negative_prompt,
            "num_inference_steps": painting.steps,
            self.guidance: painting.guidance,
            "width": painting.width,
            "height": painting.height,
        }
        match task:
            case TextToImage():
                return arguments
            case Inpaint() | Outpaint() if self.pipelines.get(task.kind):
                strength = task.strength if isinstance(task, Inpaint) else 1.0
                return arguments | self._image_arguments(painting, strength) | {"mask_image": painting.mask}
            case Edit() | Blend() if self.references:
                return arguments | {"image": list(painting.references)}
            case (
                ImageToImage(strength=strength)
                | Edit(strength=strength)
                | Blend(strength=strength)
                | Inpaint(strength=strength)
                | Outpaint(strength=strength)
                | CreativeUpscale(strength=strength)
            ):
                return arguments | self._image_arguments(painting, strength)
            case unknown:
                assert_never(unknown)

    def words(self, task: PaintingTask, prompt: str) -> str:
        """Return what the model is told: the prompt, or what a family with references is told instead."""
        if not self.references:
            return prompt
        match task:
            case Edit(instruction=instruction):
                said, roles = instruction or prompt, _roles(task)
                return " ".join((f"{said.rstrip('.')}.", *roles)) if roles else said
            case Blend(sources=sources, weights=shares):
                names = _images(1, len(sources))
                most = f", with most of image {shares.index(max(shares)) + 1}" if len(set(shares)) > 1 else ""
                return f"{prompt}. Blend {names} into one picture{most}."
            case ImageToImage(strength=strength) if strength > _REFERENCE_STRENGTH:
                return prompt + _FREELY
            case _:
                return prompt

    def _image_arguments(self, painting: Painting, strength: float) -> dict[str, Any]:
        if not self.strength:
            return {"image": painting.image}
        # At least one step runs, however little is to change.
        return {"image": painting.image, "strength": max(strength, 1 / painting.steps + 1e-6)}

    def to_vae(self, pipe: Any, latents: Any, width: int, height: int) -> Any:
        """Return a pipeline's latents of pictures of that size in pixels as its VAE decodes them.

        They are of shape (pictures, channels, height, width).
        """
        scale, shift = (getattr(pipe.vae.config, name, None) for name in ("scaling_factor", "shift_factor"))
        return latents / (scale or 1.0) + (shift or 0.0)

    def encode(self, vae: Any, pixels: Any) -> Any:
        """Return pictures of shape (pictures, 3, height, width) in −1 … 1 as latents of the VAE."""
        return vae.encode(pixels).latent_dist.mode()

    def packed(self, pipe: Any, latents: Any) -> Any:
        """Return an image of latents, as a pipeline gives it to its scheduler, as the model denoises it."""
        return latents

    def steps_run(self, task: PaintingTask, steps: int) -> int:
        """Return the denoising steps that really run: with a strength, painting starts part of the way."""
        match task:
            case TextToImage():
                return steps
            case (
                ImageToImage(strength=strength)
                | Edit(strength=strength)
                | Blend(strength=strength)
                | Inpaint(strength=strength)
                | Outpaint(strength=strength)
                | CreativeUpscale(strength=strength)
            ):
                return max(1, int(steps * strength)) if self.strength else steps
            case unknown:
                assert_never(unknown)
