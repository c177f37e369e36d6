"""A request → the unmodified diffusers pipeline call that paints one of its pictures.

Runs inside the worker process only: imports torch and diffusers.
"""

from __future__ import annotations

import copy
import functools
import inspect
import io
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, assert_never

import diffusers
import huggingface_hub
import torch
import transformers
from PIL import Image, ImageOps
from torch.nn import functional as F

from engine import changes, drafts, regions, weights
from engine.catalog import Entry, check_files
from engine.errors import FlaggedPicture, InvalidPicture, InvalidRequest, ModelNotLoaded
from engine.families import Family, Painting, family_of
from engine.framing import framed
from engine.guides import ControlNet, GuideUnusable, GuideWeights, missing
from engine.lettering import OWN_WORDS, with_room
from engine.lettering.setting import lettered
from engine.pipelines import control, image_prompts, long_prompts, quantising, references, sights, tensors
from engine.pipelines.batching import DecodePoint, EncodePoint, InterceptionPoint
from engine.pipelines.comparing import Comparison
from engine.pipelines.components import DeviceMemory, ModuleComponent, cards, components_of
from engine.pipelines.control import Control
from engine.pipelines.cutout import AlphaEstimator, Cutter, cut_out
from engine.pipelines.enlarging import Lay, enlarged, laying_region, repainted, with_alpha
from engine.pipelines.image_prompts import ImagePrompts
from engine.pipelines.kept_latents import KeptLatents
from engine.pipelines.lora import Attached
from engine.pipelines.making import MAKING
from engine.pipelines.model_files import names_in, snapshot, variant_of
from engine.pipelines.previews import Preview
from engine.pipelines.tensors import as_bytes as as_bytes
from engine.pipelines.upscale import Upscaler
from engine.pipelines.verdicts import ClassVerdict, Verdicts, key
from engine.regions import Region, on_white, opened, opened_as_is
from engine.text import _
from engine.types import (
    TRANSPARENT,
    Blend,
    CreativeUpscale,
    CutOut,
    Edit,
    GenerationRequest,
    Guide,
    ImageToImage,
    Inpaint,
    Letter,
    Outpaint,
    PaintingTask,
    TaskKind,
    TextToImage,
    Upscale,
)

Report = Callable[[int, int, torch.Tensor | None, tuple[int, int], Lay | None], None]
"""Called after each denoising step: steps done, steps in all, the latents' present estimate, the size in
pixels that they stand for, and, where that is a part of the picture, what lays its preview into the whole."""


@dataclass(slots=True)
class Loaded:
    """A pipeline on its device, with its modules' methods turned into points."""

    entry: Entry
    pipe: Any
    points: list[InterceptionPoint]
    preview: Preview | None
    upscaler: Upscaler
    segmenter: Callable[[], AlphaEstimator] = Cutter.load
    """Returns what cuts out; it is loaded when it is first needed."""
    components: tuple[ModuleComponent, ...] = ()  # empty where weights never move
    verdict: ClassVerdict = field(default_factory=ClassVerdict)  # of a class whose calls are compared
    loras: Attached = field(init=False)
    guides: dict[str, Control | ImagePrompts] = field(default_factory=dict)
    """The weights by which pictures guide it, the one used last at the end."""
    _siblings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin without LoRAs."""
        self.loras = Attached(self.points)

    @property
    def family(self) -> Family:
        """Return what is known of its pipeline class."""
        return family_of(type(self.pipe).__name__)

    @property
    def apart(self) -> bool:
        """Return whether its requests run one after another: one may change what others see."""
        return self.family.joins == "compared" and self.verdict.apart is not False

    @property
    def size(self) -> int:
        """Return the bytes of its weights."""
        modules = (part for part in self.pipe.components.values() if isinstance(part, torch.nn.Module))
        return sum(weight.nbytes for module in modules for weight in module.state_dict().values())

    def unload(self) -> None:
        """Put the modules' own methods back: points and modules refer to each other until then."""
        self.loras.unload()
        self.leave_guides(())
        for point in self.points:
            point.sights.unload()
            point.restore()
        for component in self.components:
            component.unload()

    def take_guide(self, guide: Control | ImagePrompts) -> None:
        """Let requests be guided by further weights."""
        self.guides[guide.info.name] = guide
        if isinstance(guide, ImagePrompts):
            self._denoiser().sights.attach(guide.attentions)

    def leave_guides(self, used: Collection[str], most: int = 0) -> None:
        """Forget the guides that were used longest ago, beyond `most` bytes; those of these names stay."""
        for name in [each for each in self.guides if each not in used]:
            if sum(each.size for each in self.guides.values()) <= most:
                return
            self.guides.pop(name).unload()
            for each in [kept for kept in self._siblings if kept.endswith(f" {name}")]:
                del self._siblings[each]
        if not any(isinstance(each, ImagePrompts) for each in self.guides.values()):
            for point in self.points:
                point.sights.unload()

    def _denoiser(self) -> InterceptionPoint:
        return next(each for each in self.points if each.name == "unet")

    def guide(self, name: str) -> Control | ImagePrompts:
        """Return loaded weights. Raises GuideUnusable."""
        if name not in self.guides:
            raise GuideUnusable(f"{name} is not loaded", advice=missing(name))
        self.guides[name] = self.guides.pop(name)
        return self.guides[name]

    def controlled(self, task: TaskKind, guide: Guide) -> tuple[Any, Control]:
        """Return the pipeline for a task with a control. Raises InvalidRequest, GuideUnusable."""
        controls, network = self.family.controls, self.guide(guide.by)
        name = controls.pipelines.get(task) if controls else None
        if name is None or not isinstance(network, Control):
            advice = _("This model takes no control picture for that. Leave --control out.")
            raise InvalidRequest(f"{self.family.name} does no {task} with a control", advice=advice)
        key = f"{name} {guide.by}"
        if key not in self._siblings:
            parts = {"controlnet": network.network}
            self._siblings[key] = _sibling(self.pipe, getattr(diffusers, name), parts)
        return self._siblings[key], network

    def pipe_for(self, task: TaskKind) -> Any:
        """Return the family's pipeline for a task, over the same weights. Raises InvalidRequest."""
        name = self.family.pipeline(task)
        if name is None:
            raise InvalidRequest(
                f"{type(self.pipe).__name__} does no {task}", advice=_ADVICE.get(task, _OTHER)
            )
        if name == type(self.pipe).__name__:
            return self.pipe
        if name not in self._siblings:
            self._siblings[name] = _sibling(self.pipe, getattr(diffusers, name))
        return self._siblings[name]


_OTHER = _("This model cannot do that. Choose another model.")
_ADVICE: dict[TaskKind, str] = {
    "text_to_image": _("This model only changes images. Give it a source image."),
    "image_to_image": _("This model takes no image prompt. Leave it out."),
    "inpaint": _("This model changes no regions. Choose another model."),
    "outpaint": _("This model does not paint around images. Choose another model."),
}


def _sibling(pipe: Any, kind: Any, more: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """Return a pipeline of another class over the same parts; `from_pipe` would cast them to float32."""
    parts, options = kind._get_signature_keys(kind)
    given = {name: pipe.components.get(name) for name in parts} | dict(more)
    sibling = kind(**given, **{name: pipe.config[name] for name in options if name in pipe.config})
    sibling.set_progress_bar_config(disable=True)
    return sibling


def silence_libraries() -> None:
    """Keep the libraries' progress bars and advice to developers out of the log."""
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


def dtype_on(device: torch.device) -> torch.dtype:
    """Return the type of weights on a device; where it is float16, VAEs have float32."""
    if device.type == "cpu":
        return torch.float32
    # bfloat16 where the card computes in it: in float16, some models overflow.
    return torch.float16 if device in cards() and not _has_bfloat16(device) else torch.bfloat16


def _has_bfloat16(device: torch.device) -> bool:
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def fetch(entry: Entry, memory: DeviceMemory) -> None:
    """Download a model's files and read them, so that they are in the system's cache when it is loaded."""
    path = entry.local
    if path is None:
        found = diffusers.DiffusionPipeline.download(
            entry.source,
            use_safetensors=True,
            trust_remote_code=False,
            variant=_variant(entry),
            revision=entry.revision or None,
        )
        path = Path(found)
    if memory.moves:
        quantising.fetch_files(quantising.methods(entry, memory.residency.memory, memory.card))
    for file in sorted(path.rglob("*.safetensors")) if path.is_dir() else [path]:
        with file.open("rb") as stream:
            while stream.read(_CHUNK):
                pass


_CHUNK = 2**24  # bytes read at once


def load(
    entry: Entry,
    memory: DeviceMemory,
    upscaler: Upscaler,
    verdicts: Verdicts | None = None,
    segmenter: Callable[[], AlphaEstimator] = Cutter.load,
) -> Loaded:
    """Load a model from safetensors only, never with remote code. Raises ModelNotLoaded.

    Where its components come to the device and leave it, they stay in host memory until they are needed.
    `verdicts` tells and keeps whether calls of a class that no test has compared may be joined.
    """
    if entry.local is not None:
        check_files(entry.local)
    dtype = dtype_on(memory.device)
    try:
        with MAKING:
            pipe = _from_source(entry, dtype, _methods(entry, memory))
            if not memory.moves:
                pipe = pipe.to(memory.device)
    except Exception as error:
        raise ModelNotLoaded(f"{entry.source}: {error}") from error
    pipe.set_progress_bar_config(disable=True)
    kind = type(pipe).__name__
    components, verdicts = components_of(pipe, memory), verdicts or Verdicts()
    verdict = verdicts.of(key(kind, str(dtype)))
    points = points_of(pipe, components, verdict, verdicts.save)
    preview = Preview.fit(pipe, family_of(kind))
    parts = tuple(components.values())
    return Loaded(entry, pipe, points, preview, upscaler, segmenter, parts, verdict)


def _methods(entry: Entry, memory: DeviceMemory) -> Mapping[str, str]:
    """Return how components are quantised. They are made on the card itself, so all others leave it."""
    how = quantising.methods(entry, memory.residency.memory, memory.card) if memory.moves else {}
    if how:
        memory.residency.clear()
    return how


def _from_source(entry: Entry, dtype: torch.dtype, how: Mapping[str, str]) -> Any:
    options: dict[str, Any] = {"dtype": dtype, "use_safetensors": True}
    half = dtype is torch.float16
    if entry.local is None or entry.local.is_dir():
        options |= {"variant": _variant(entry), "revision": entry.revision or None}
        options |= {"dtype": {"default": dtype, "vae": torch.float32}} if half else {}
        options |= quantising.options(entry, how, dtype)
        return diffusers.DiffusionPipeline.from_pretrained(entry.source, trust_remote_code=False, **options)
    if entry.config:
        options["config"] = entry.config
    pipe = _single_file_class(entry).from_single_file(entry.source, **options)
    if half and getattr(pipe, "vae", None) is not None:
        pipe.vae.to(torch.float32)
    return pipe


def _variant(entry: Entry) -> str | None:
    """Return the variant to load, where a model's weights come in no other form; else None."""
    if entry.local is not None:
        return variant_of(names_in(entry.local))
    folder = snapshot(entry.source)
    names = names_in(folder) if folder is not None else []
    if any(name.endswith(".safetensors") for name in names):  # they were fetched after the hub was asked
        return variant_of(names)
    try:
        return variant_of(huggingface_hub.list_repo_files(entry.source, revision=entry.revision or None))
    except Exception:  # offline, say: loading tells what is wrong
        return None


def _single_file_class(entry: Entry) -> Any:
    """Return the class that the catalog or the sidecar names, or the weights tell. Raises ModelNotLoaded."""
    if not entry.pipeline:
        raise ModelNotLoaded(
            f"{entry.source} is of no known kind: name its class as `pipeline` in a .toml beside it"
        )
    return getattr(diffusers, entry.pipeline)


_NONE: Mapping[str, ModuleComponent] = MappingProxyType({})


def points_of(
    pipe: Any,
    components: Mapping[str, ModuleComponent] = _NONE,
    verdict: ClassVerdict | None = None,
    save: Callable[[], None] = lambda: None,
) -> list[InterceptionPoint]:
    """Return the scheduling points of a pipeline: each of its modules, the VAE at its two ends.

    Encoding returns a distribution instead of rows, so it runs alone. Calls of a family that no test has
    compared are joined as its `verdict` says; what is learned by comparing is added to it, and saved.
    """
    family = family_of(type(pipe).__name__)
    alone = family.joins == "never"
    comparison = Comparison(verdict or ClassVerdict(), save) if family.joins == "compared" else None
    points: list[InterceptionPoint] = []
    for name, module in pipe.components.items():
        if not isinstance(module, torch.nn.Module):
            continue
        _disable_cache(module)
        component = components.get(name)
        if hasattr(module, "decode"):
            scale = getattr(pipe, "vae_scale_factor", 8)
            decode = DecodePoint(
                f"{name}.decode", module, scale, alone=alone, component=component, comparison=comparison
            )
            points += [decode, EncodePoint(f"{name}.encode", module, component=component)]
        else:
            kind = type(module).__name__
            points.append(
                InterceptionPoint(
                    name,
                    module,
                    "forward",
                    alone=alone,
                    shared=family.shared.get(kind, frozenset()),
                    row_lists=family.row_lists.get(kind, frozenset()),
                    component=component,
                    comparison=comparison,
                )
            )
    return points


def _disable_cache(module: Any) -> None:
    """Keep a language model from returning its key-value cache, which only text generation needs.

    The cache takes memory, and has no rows: calls whose results hold one cannot be joined.
    """
    config = getattr(module, "config", None)
    if config is not None and hasattr(config, "get_text_config"):
        config.get_text_config().use_cache = False


def paint(
    loaded: Loaded, request: GenerationRequest, index: int, sources: Sequence[bytes], report: Report
) -> torch.Tensor:
    """Paint picture `index` of `request`. Returns float in 0 … 1 of shape (3 or 4, height, width).

    `sources` are the pictures that the request names. Raises InvalidRequest.
    """
    if len(sources) != len(request.sources):
        raise InvalidRequest("no source picture", advice=_("The source image is gone. Choose another."))
    if isinstance(request.task, CutOut):
        source = opened_as_is(sources[0])
        return cut_out(loaded.segmenter(), source, request.background or TRANSPARENT)
    with _seeing(loaded, request, sources):
        made = _made(loaded, request, index, sources, report)
    if not request.cuts_out:
        return made
    return cut_out(loaded.segmenter(), tensors.picture(made), request.background)


def _made(
    loaded: Loaded, request: GenerationRequest, index: int, sources: Sequence[bytes], report: Report
) -> torch.Tensor:
    """Make picture `index` of a request, before anything is cut out of it."""
    size = request.width, request.height
    match request.effective_task:
        case Upscale():
            return enlarged(loaded.upscaler, opened_as_is(sources[0]), size)
        case Letter():
            return tensors.pixels(opened_as_is(sources[index]))
        case CreativeUpscale() as task:
            return _creatively_enlarged(loaded, request, task, index, sources[0], report)
        case CutOut():
            raise InvalidRequest("a picture that is cut out is made by nobody")
        case (Inpaint() | Outpaint()) as task:
            own = sources[: len(request.task_sources)]
            part = regions.region(task, own, size, loaded.entry.info)
            return _region_painted(loaded, request, task, index, part, report)
        case (Edit() | Blend()) as task:
            own = sources[: len(request.task_sources)]
            return _painted_by_pictures(loaded, request, task, index, own, report)
        case task:
            image = _source_image(task, sources, size)
            guided = _control(request, sources)
            return _painted(loaded, request, task, index, image, size, report, guided=guided)


def _guide_pictures(request: GenerationRequest, sources: Sequence[bytes]) -> Iterator[tuple[Guide, bytes]]:
    """Yield the request's guides, each with its picture."""
    at = len(request.task_sources)
    for guide in request.guides:
        yield guide, sources[at]
        at += len(guide.pictures)


def _control(request: GenerationRequest, sources: Sequence[bytes]) -> tuple[Guide, Image.Image] | None:
    """Return the control picture of a request, if there is one."""
    found = ((guide, png) for guide, png in _guide_pictures(request, sources) if guide.controls)
    return next(((guide, opened(png)) for guide, png in found), None)


@contextmanager
def _seeing(loaded: Loaded, request: GenerationRequest, sources: Sequence[bytes]) -> Iterator[None]:
    """Let forward passes of a request see its references. Raises GuideUnusable."""
    groups: dict[tuple[str, str], list[tuple[Guide, Image.Image]]] = {}
    for guide, png in _guide_pictures(request, sources) if request.paints else ():
        if not guide.controls:
            groups.setdefault((guide.kind, guide.by), []).append((guide, opened(png)))
    found = []
    for (_kind, name), pairs in groups.items():
        weights = loaded.guide(name)
        if isinstance(weights, ImagePrompts):
            guides, pictures = zip(*pairs, strict=True)
            found.append(weights.sight(guides, pictures))
    token = sights.seen.set(tuple(found))
    try:
        yield
    finally:
        sights.seen.reset(token)


def load_guide(found: GuideWeights, loaded: Loaded, memory: DeviceMemory) -> Control | ImagePrompts:
    """Read the weights by which pictures guide a model. Raises GuideUnusable."""
    dtype, family = dtype_on(memory.device), loaded.family
    if isinstance(found, ControlNet):
        return control.load(found, family, memory, dtype)
    return image_prompts.load(found, loaded.pipe, family.style_layers, memory, dtype)


def sized(loaded: Loaded, painted: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return a painted picture in another size, cropped around what it shows, never distorted.

    What it shows is found by what cuts out, where that knows pictures of this model.
    """
    picture = tensors.picture(painted)
    shown = None
    if loaded.entry.info.cuts_out:
        shown = loaded.segmenter()(tensors.pixels(on_white(picture))).numpy()

    def larger(part: Image.Image, factor: int) -> Image.Image:
        whole = part.width * factor, part.height * factor
        return tensors.picture(enlarged(loaded.upscaler, part, whole))

    return tensors.pixels(framed(picture, size, larger, shown))


def _creatively_enlarged(
    loaded: Loaded,
    request: GenerationRequest,
    task: CreativeUpscale,
    index: int,
    source: bytes,
    report: Report,
) -> torch.Tensor:
    """Enlarge a picture by super-resolution, then let the model paint detail into it, tile by tile."""
    given, model = opened_as_is(source), loaded.entry.info
    base = enlarged(loaded.upscaler, on_white(given), (request.width, request.height))

    def painted(number: int, count: int, tile: Image.Image, lay: Lay) -> torch.Tensor:
        def told(step: int, steps: int, latents: Any, size: tuple[int, int], _lay: Lay | None = None) -> None:
            report(number * steps + step, count * steps, latents, size, lay)

        # Every tile has its own noise: the same in each would show as a pattern.
        own = replace(request, seed=request.seed_of(number * request.count))
        size = regions.painting_size(tile.size, model)
        image = tile.resize(size, Image.Resampling.LANCZOS)
        return _painted(loaded, own, task, index, image, size, told)

    pixels = repainted(base, (model.width, model.height), painted)
    return with_alpha(pixels, given, loaded.upscaler)


def _region_painted(
    loaded: Loaded,
    request: GenerationRequest,
    task: Inpaint | Outpaint,
    index: int,
    part: Region,
    report: Report,
) -> torch.Tensor:
    lay = laying_region(part)

    def told(step: int, steps: int, latents: Any, size: tuple[int, int], _lay: Lay | None = None) -> None:
        report(step, steps, latents, size, lay)

    painted = _painted(loaded, request, task, index, part.image, part.size, told, part)
    return tensors.pixels(part.composed(tensors.picture(painted)))


def _painted_by_pictures(
    loaded: Loaded,
    request: GenerationRequest,
    task: Edit | Blend,
    index: int,
    sources: Sequence[bytes],
    report: Report,
) -> torch.Tensor:
    """Paint an edit or a blend; what an edit left as it was is that of its source."""
    size = request.width, request.height
    pictures = [opened(each) for each in sources]
    image = references.start(task, pictures, size)
    given = references.references(task, pictures, loaded.family, size) if loaded.family.references else ()
    painted = _painted(loaded, request, task, index, image, size, report, given=given)
    if isinstance(task, Edit) and task.keep:
        edited = tensors.picture(painted)
        return tensors.pixels(changes.kept(image.resize(edited.size), edited))
    return painted


def _with_loras(painted: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Let what a function paints have the LoRAs of its request."""

    @functools.wraps(painted)
    def with_them(loaded: Loaded, request: GenerationRequest, *rest: Any, **named: Any) -> torch.Tensor:
        with loaded.loras.of(request):
            return painted(loaded, request, *rest, **named)

    return with_them


@_with_loras
def _painted(
    loaded: Loaded,
    request: GenerationRequest,
    task: PaintingTask,
    index: int,
    image: Image.Image | None,
    size: tuple[int, int],
    report: Report,
    part: Region | None = None,
    *,
    given: Sequence[Image.Image] = (),
    guided: tuple[Guide, Image.Image] | None = None,
) -> torch.Tensor:
    """Paint a picture of `size` pixels; what is around a part is kept as far as the model can.

    `given` are the references of a family that takes such; `guided` is a control picture.
    """
    scale = loaded.entry.scale
    size = size[0] // scale, size[1] // scale
    told = loaded.family.words(task, loaded.loras.told(request))
    info = loaded.entry.info
    if request.lettering and isinstance(task, TextToImage) and not info.one_thing:
        told, own_words = with_room(told, request), OWN_WORDS if info.negative_prompt else ""
    else:  # what draws one thing knows of no room around it
        own_words = ""
    about_ground = info.one_thing and isinstance(task, Outpaint)
    weighed = weights.read(regions.ground(told) if about_ground else told)
    painting = Painting(
        prompt=weighed.plain,
        negative_prompt=", ".join(filter(None, (request.negative_prompt, *weighed.negative, own_words))),
        steps=request.steps_taken,
        guidance=request.guidance,
        width=size[0],
        height=size[1],
        image=image and ImageOps.fit(image, size, Image.Resampling.LANCZOS),
        mask=part and part.mask(size),
        references=given,
    )
    found, network = loaded.controlled(task.kind, guided[0]) if guided else (loaded.pipe_for(task.kind), None)
    pipe = private_copy(found)
    if request.scheduler:
        pipe.scheduler = _scheduler(loaded.family, request.scheduler, pipe.scheduler)
    arguments = loaded.family.arguments(task, painting)
    if request.draft:
        arguments |= draft_grid(pipe, request.steps, request.draft_steps)
    if guided and network:
        accepted = inspect.signature(pipe.__call__).parameters
        picture = ImageOps.fit(guided[1], size, Image.Resampling.BILINEAR)
        arguments |= network.arguments(loaded.family, guided[0].kind, accepted, picture, guided[0].weight)
    arguments |= long_prompts.arguments(loaded.family, pipe, weighed, painting.negative_prompt)
    blends = "strength" in arguments and "mask_image" not in arguments
    kept = KeptLatents(pipe, loaded.family, part) if part and blends else None
    pixels = _call(pipe, arguments, request.seed_of(index), report, kept)
    return _enlarge(loaded.upscaler, pixels) if scale > 1 else pixels


def private_copy(pipe: Any) -> Any:
    """Return a copy of a pipeline for one request. It shares weights and tokenizers alone.

    Schedulers, guiders and whatever else a pipeline is made of, or another pipeline inside it, keep the state
    of the request that runs.
    """
    return copy.deepcopy(pipe, {id(part): part for part in _shared(pipe)})


def _scheduler(family: Family, name: str, own: Any) -> Any:
    """Return the named scheduler, for a model whose own is `own`. Raises InvalidRequest."""
    if name not in family.schedulers:
        advice = _("This model does not know that scheduler. Leave --scheduler out.")
        raise InvalidRequest(f"{family.name} knows no scheduler {name}", advice=advice)
    kind, changes = family.schedulers[name]
    return getattr(diffusers, kind).from_config(own.config, **changes)


def draft_grid(pipe: Any, steps: int, taken: int = 0) -> dict[str, Any]:
    """Return the arguments by which a pipeline takes the steps of a draft of so many, or `taken` of them.

    Schedulers that walk any grid are given it by the pipeline; DDIM's copy is changed. Any other takes as
    many steps, evenly spaced.
    """
    accepted = inspect.signature(pipe.__call__).parameters
    scheduler, at = pipe.scheduler, list(drafts.kept(steps, taken))
    known = inspect.signature(scheduler.set_timesteps).parameters
    if isinstance(scheduler, diffusers.DDIMScheduler):
        _thin_out(scheduler, steps, at)
    elif "sigmas" in accepted and isinstance(scheduler, diffusers.FlowMatchEulerDiscreteScheduler):
        # Some shift the grid by the number of steps: that is the number of the full grid.
        return {"sigmas": torch.linspace(1.0, 1 / steps, steps)[at].tolist(), "num_inference_steps": steps}
    elif "timesteps" in accepted and "timesteps" in known and hasattr(scheduler, "betas"):
        full = copy.deepcopy(scheduler)
        full.set_timesteps(steps)
        if len(full.timesteps) == steps:
            return {"timesteps": full.timesteps[at].tolist()}
    return {}


class _Width(int):
    """Stands for a number of steps: the times that a model was trained on, divided by it, are this width."""

    def __rfloordiv__(self, trained: int) -> int:
        return int(self)


def _thin_out(scheduler: Any, steps: int, at: list[int]) -> None:
    """Let a request's own DDIM scheduler walk some of so many steps.

    It takes the next step to be as far away as its grid is wide, so the width is set before each step.
    """
    set_timesteps, step = scheduler.set_timesteps, scheduler.step

    def thinned(_count: int, device: Any = None) -> None:
        set_timesteps(steps, device=device)
        scheduler.timesteps = scheduler.timesteps[at]

    @functools.wraps(step)
    def widened(output: Any, time: Any, *args: Any, **kwargs: Any) -> Any:
        later = scheduler.timesteps[scheduler.timesteps < time]
        scheduler.num_inference_steps = _Width(time - later[0] if len(later) else time + 1)
        return step(output, time, *args, **kwargs)

    scheduler.set_timesteps, scheduler.step = thinned, widened


def _shared(pipe: Any) -> Iterator[Any]:
    for part in vars(pipe).values():
        if isinstance(part, diffusers.DiffusionPipeline):
            yield from _shared(part)
        elif isinstance(part, _SHARED):
            yield part


_SHARED = (torch.nn.Module, transformers.PreTrainedTokenizerBase, transformers.ProcessorMixin)


def _seeded(pipe: Any, generator: torch.Generator, seed: int) -> _Estimates:
    """Take a request's noise from its generator; return its scheduler's estimates, updated each step."""
    scheduler = pipe.scheduler
    if hasattr(scheduler, "noise_sampler_seed"):
        scheduler.noise_sampler_seed = seed
    step, estimates = scheduler.step, _Estimates()
    seeded = {"generator": generator} if "generator" in inspect.signature(step).parameters else {}

    @functools.wraps(step)
    def observed(*args: Any, **kwargs: Any) -> Any:
        result = step(*args, **{**kwargs, **seeded})
        estimates.observe(scheduler, result)
        return result

    scheduler.step = observed
    return estimates


@dataclass(slots=True)
class _Estimates:
    """A scheduler's estimate of the finished latents: clearer in a preview than the noisy ones."""

    latest: torch.Tensor | None = None

    def observe(self, scheduler: Any, result: Any) -> None:
        outputs = getattr(scheduler, "model_outputs", None)  # DPM-Solver++ keeps its estimates there
        if isinstance(result, tuple) and len(result) > 1:
            self.latest = result[1]
        elif outputs and str(scheduler.config.get("algorithm_type", "")).endswith("dpmsolver++"):
            self.latest = outputs[-1]


def _call(
    pipe: Any, arguments: dict[str, Any], seed: int, report: Report, kept: KeptLatents | None = None
) -> torch.Tensor:
    generator = torch.Generator("cpu").manual_seed(seed)
    estimates = _seeded(pipe, generator, seed)

    def after_step(pipe: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if kept:
            tensors["latents"] = kept.put_back(time, tensors["latents"])
        total = getattr(pipe, "num_timesteps", None) or arguments["num_inference_steps"]
        latents = tensors.get("latents") if estimates.latest is None else estimates.latest
        report(step + 1, int(total), latents, (arguments["width"], arguments["height"]), None)
        return tensors

    accepted = inspect.signature(pipe.__call__).parameters
    missing = {"image", "mask_image", "strength"} & arguments.keys() - accepted.keys()
    if missing:
        raise InvalidRequest(f"{type(pipe).__name__} takes no {missing}")
    watched = {"generator": generator, "output_type": "pt", "callback_on_step_end": after_step}
    given = {name: value for name, value in (arguments | watched).items() if name in accepted}
    result = pipe(**given)
    if any(getattr(result, "nsfw_content_detected", None) or ()):
        raise FlaggedPicture(f"{type(pipe).__name__} withholds it")
    pixels: torch.Tensor = result.images[0].float()
    if not torch.isfinite(pixels).all() or pixels.max() == pixels.min():
        raise InvalidPicture("it holds no numbers, or one flat colour")
    return pixels.clamp(0, 1)


def _source_image(task: PaintingTask, sources: Sequence[bytes], size: tuple[int, int]) -> Image.Image | None:
    """Return the picture that the task starts from."""
    match task:
        case TextToImage():
            return None
        case ImageToImage() | Inpaint() | Outpaint() | CreativeUpscale() | Edit() | Blend():
            return opened(sources[0])
        case unknown:
            assert_never(unknown)


def _enlarge(upscaler: Upscaler, pixels: torch.Tensor) -> torch.Tensor:
    enlarged: torch.Tensor = upscaler(pixels[None]).clamp(0, 1)[0]
    return enlarged


def encode_lettered(pixels: torch.Tensor, request: GenerationRequest, index: int) -> bytes:
    """Encode a picture with the words of its request on it, as PNG. Raises InvalidRequest."""
    picture = Image.fromarray(pixels.numpy())
    return _encoded(lettered(picture, request, index), "PNG", compress_level=3)


def encode_png(pixels: torch.Tensor) -> bytes:
    """Encode uint8 RGB or RGBA (height, width, 3 or 4) as PNG."""
    return _encoded(Image.fromarray(pixels.numpy()), "PNG", compress_level=3)


PREVIEW_SIDE = 256  # pixels of a preview's longer side


def encode_preview(grid: torch.Tensor, side: int = PREVIEW_SIDE) -> bytes:
    """Encode uint8 RGB (height, width, 3) as a small WebP, its longer side `side` pixels."""
    picture = Image.fromarray(grid.numpy())
    factor = side / max(picture.size)
    size = round(picture.width * factor), round(picture.height * factor)
    # Method 1 is twice as fast as the default, and the file as small.
    return _encoded(picture.resize(size, Image.Resampling.BICUBIC), "WEBP", quality=70, method=1)


def _encoded(picture: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def as_it_is(source: bytes) -> torch.Tensor:
    """Return a picture to preview work without steps, small, (3, h, w). Raises InvalidRequest."""
    picture = opened(source)
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    return tensors.pixels(picture)


def side_by_side(pictures: Sequence[torch.Tensor | None]) -> torch.Tensor:
    """Join previews of shape (3, h, w) in two columns, or four if there are more than four previews.

    What has none yet is grey; one of them has one. All get the size of the largest.
    """
    there = [each for each in pictures if each is not None]
    if len(pictures) == 1:
        return there[0]
    largest = max(there, key=lambda each: each.shape[1] * each.shape[2])
    columns = 2 if len(pictures) <= 4 else 4
    grey, blank = torch.full_like(largest, 0.5), torch.zeros_like(largest)
    filled = [grey if each is None else _of_size(each, largest) for each in pictures]
    filled += [blank] * (-len(pictures) % columns)
    rows = [torch.cat(filled[i : i + columns], dim=2) for i in range(0, len(filled), columns)]
    return torch.cat(rows, dim=1)


def _of_size(picture: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return a preview in the size and on the device of another: tiles are shown larger than whole ones."""
    if picture.shape == other.shape:
        return picture.to(other)
    return F.interpolate(picture[None].to(other), other.shape[1:], mode="bilinear")[0]
