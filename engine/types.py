"""What the engine takes and gives: requests and jobs go in, events come out."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol, Self, assert_never, get_args

from engine import drafts
from engine.errors import EngineError
from engine.prices import Price

SEED_LIMIT = 2**32
"""Seeds are 0 … SEED_LIMIT − 1."""

REQUEST_VERSION = 2
"""Of a request's JSON. Raise it when its form changes, and keep a function that upgrades the last one."""

TRANSPARENT = "transparent"
"""The background of a request whose pictures are cut out; any other is a colour, "#rrggbb"."""

BlobRef = str
"""The name of a picture at rest. The engine only hands it to the `read` function it was given."""

ControlKind = Literal["edges", "depth", "pose", "scribble"]
"""What a control picture shows of what is to be painted."""

GuideKind = ControlKind | Literal["style", "subject"]
"""What is taken from a picture that guides the painting."""

CONTROLS: tuple[ControlKind, ...] = get_args(ControlKind)

TaskKind = Literal[
    "text_to_image",
    "image_to_image",
    "edit",
    "blend",
    "inpaint",
    "outpaint",
    "creative_upscale",
    "upscale",
    "cut_out",
    "letter",
]
"""The kind of a task. The last three need no painting model; what else a model does, its `tasks` say."""


class _Stored:
    """A part of a request as rows of the database hold it: its fields are checked by their annotations."""

    __slots__ = ()

    def __post_init__(self) -> None:
        """Raise TypeError for what no row of this kind holds."""
        for name, held in type(self).__annotations__.items():
            if held.startswith("tuple["):
                values = _several(getattr(self, name), held[len("tuple[") : -len(", ...]")])
                object.__setattr__(self, name, values)
            elif not held.startswith("ClassVar["):
                _check(getattr(self, name), held)


_HELD: Mapping[str, tuple[type, ...]] = {
    "GuideKind": (str,),
    "BlobRef": (str,),
    "str": (str,),
    "int": (int,),
    "bool": (bool,),
    "float": (int, float),
}
"""Annotation → what a row may hold there."""


def _check(value: object, held: str) -> None:
    if type(value) not in _HELD[held]:
        raise TypeError(f"{value!r} is no {_HELD[held][-1].__name__}")


def _several(values: Iterable[object], held: str) -> tuple[object, ...]:
    """Return a list as a tuple; JSON has no tuples. Raises TypeError for a text, and for no picture."""
    if isinstance(values, str) or (not (found := tuple(values)) and held == "BlobRef"):
        raise TypeError(f"{values!r} is no list of pictures")
    for each in found:
        _check(each, held)
    return found


@dataclass(frozen=True, slots=True)
class TextToImage:
    """Paint from words alone."""

    kind: ClassVar[Literal["text_to_image"]] = "text_to_image"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageToImage(_Stored):
    """Paint from words and a picture."""

    kind: ClassVar[Literal["image_to_image"]] = "image_to_image"
    source: BlobRef
    strength: float  # 0 keeps the picture; 1 ignores it


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit(_Stored):
    """Paint by an instruction and by pictures that it may speak of.

    Models that take references get the instruction; others start from the first picture, and are given the
    prompt, which describes what the changed picture shows.
    """

    kind: ClassVar[Literal["edit"]] = "edit"
    sources: tuple[BlobRef, ...]  # at least one
    instruction: str = ""  # empty: the prompt
    shows: str = ""  # what the first picture shows, in words, as far as it is known
    keep: bool = True  # the first picture is changed: what the instruction left as it was is kept of it
    strength: float = 0.75  # how far a model without references may leave the first picture
    style: int = 0  # how many of the sources are references for the style: those before the subject's
    subject: int = 0  # how many of the sources are references for the subject: the last


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend(_Stored):
    """Paint one picture out of several, and words."""

    kind: ClassVar[Literal["blend"]] = "blend"
    sources: tuple[BlobRef, ...]  # two to five
    strength: float = 0.6  # how far the picture may leave what they have in common: 1 ignores them
    weights: tuple[float, ...] = ()  # of the sources, one each; empty: all are alike


@dataclass(frozen=True, slots=True, kw_only=True)
class Inpaint(_Stored):
    """Paint a part of a picture anew. Every other pixel stays as it is.

    The picture is delivered in the size of its source, whatever sizes the model paints.
    """

    kind: ClassVar[Literal["inpaint"]] = "inpaint"
    source: BlobRef
    mask: BlobRef  # of the source's size; white is painted anew, and what lies between is mixed
    strength: float = 1.0  # 1 ignores what is under the mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Outpaint(_Stored):
    """Paint around a picture, which stays as it is. It is resized first where `width` or `height` differ."""

    kind: ClassVar[Literal["outpaint"]] = "outpaint"
    source: BlobRef
    left: int  # where its corner lies in the new picture, in pixels
    top: int
    width: int  # of the source in the new picture, in pixels
    height: int
    strength: float = 0.9  # 1 ignores the colours that go on from the source's edges


@dataclass(frozen=True, slots=True, kw_only=True)
class CreativeUpscale(_Stored):
    """Enlarge a picture, and paint finer detail into it."""

    kind: ClassVar[Literal["creative_upscale"]] = "creative_upscale"
    source: BlobRef
    factor: int = 2  # of each side
    strength: float = 0.3
    width: int = 0  # of the source, in pixels; 0 is the request's divided by the factor
    height: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Upscale(_Stored):
    """Enlarge a picture by super-resolution, without painting."""

    kind: ClassVar[Literal["upscale"]] = "upscale"
    source: BlobRef
    factor: int = 4  # of each side
    width: int = 0  # of the source, in pixels; 0 is the request's divided by the factor
    height: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOut(_Stored):
    """Make all transparent but what a picture shows in front of its background."""

    kind: ClassVar[Literal["cut_out"]] = "cut_out"
    source: BlobRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter(_Stored):
    """Set other words on pictures that are there; nothing is painted."""

    kind: ClassVar[Literal["letter"]] = "letter"
    sources: tuple[BlobRef, ...]  # without words; one for each picture of the request


PaintingTask = TextToImage | ImageToImage | Edit | Blend | Inpaint | Outpaint | CreativeUpscale
"""What a painting model does."""

Task = PaintingTask | Upscale | CutOut | Letter
"""What kind of work a request is. A new class here fails type checking until every `match` handles it."""


@dataclass(frozen=True, slots=True)
class LoraWeight:
    """A LoRA by name, and how much of it a request wants: 1 is all."""

    name: str
    weight: float = 1.0

    def __str__(self) -> str:
        return self.name if self.weight == 1 else f"{self.name}:{self.weight:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide(_Stored):
    """A picture that guides the painting by further weights: a ControlNet's, or those of an IP-Adapter."""

    kind: GuideKind
    picture: BlobRef  # as the weights take it: of a control, its edges, say
    by: str  # the name of the weights: one of the model's `guides`
    weight: float = 1.0
    of: BlobRef = ""  # the picture that a control was made from; empty: it was given as it is

    @property
    def controls(self) -> bool:
        """Return whether it is a control picture, not a reference."""
        return self.kind in CONTROLS

    @property
    def pictures(self) -> tuple[BlobRef, ...]:
        """Return its pictures: what guides, and what that was made from."""
        return (self.picture, self.of) if self.of else (self.picture,)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSize:
    """A size in which a finished picture is delivered besides its own, as a platform takes it."""

    name: str
    width: int  # pixels
    height: int  # pixels
    format: Literal["jpeg", "png"] = "jpeg"
    limit: int = 0  # bytes of its file; 0: any


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """What to paint. Nothing here says who asked, or where."""

    prompt: str
    seed: int
    negative_prompt: str = ""
    model: str = "easel-tiny"
    width: int = 512  # pixels, as delivered
    height: int = 512  # pixels, as delivered
    steps: int = 20  # denoising steps
    guidance: float = 5.0  # classifier-free guidance scale
    scheduler: str = ""  # one of the model's `schedulers`; empty: its own
    loras: tuple[LoraWeight, ...] = ()  # of the model's `loras`
    count: int = 4
    best: int = 1  # above 1 it is the count, too: only the one that is closest to the prompt is kept
    draft: bool = False  # painted in about half of its steps; see `engine.drafts`
    draft_steps: int = 0  # of a draft, where the model has its own number; 0: about half
    reproducible: bool = False  # each picture is painted alone, so that it is the same to the byte
    background: str = ""  # laid behind what is cut out: TRANSPARENT or "#rrggbb"; empty: nothing is cut out.
    # What is enlarged has it already.
    lettering: str = ""  # words that are set on the picture as type; "|" separates texts
    lettering_place: str = "auto"  # see `engine.lettering`
    lettering_style: str = "sans"
    guides: tuple[Guide, ...] = ()  # pictures that guide it besides
    pack: str = ""  # the name of its `sizes`
    sizes: tuple[NamedSize, ...] = ()  # in which each is made of the one picture, after it
    paper: str = ""  # that the picture is to be printed on, as `bot.images.printing` writes it
    file_format: str = ""  # of the files that are handed over; empty: PNG
    file_quality: int | None = None  # 1 to 100, of formats with loss
    task: Task = TextToImage()

    @property
    def delivered(self) -> int:
        """Return how many pictures come of it: those that are painted, and one for each of its sizes."""
        return self.count + len(self.sizes)

    def size_at(self, index: int) -> NamedSize | None:
        """Return the size of which picture `index` is; None for those that are painted."""
        number = index - self.count
        return self.sizes[number] if 0 <= number < len(self.sizes) else None

    @property
    def effective_task(self) -> Task:
        """Return what is carried out: a strength of 1 ignores the source."""
        match self.task:
            case ImageToImage(strength=strength) if strength >= 1:
                return TextToImage()
            case task:
                return task

    @property
    def kind(self) -> TaskKind:
        """Return the kind of what is carried out."""
        return self.effective_task.kind

    @property
    def sources(self) -> tuple[BlobRef, ...]:
        """Return all pictures that the work needs: those of the task, a mask among them, then the guides'."""
        return (*self.task_sources, *(blob for each in self.guides for blob in each.pictures))

    @property
    def task_sources(self) -> tuple[BlobRef, ...]:
        """Return the pictures that the task needs; the first is what it starts from."""
        match self.task:
            case TextToImage():
                return ()
            case Edit(sources=sources) | Blend(sources=sources) | Letter(sources=sources):
                return sources
            case Inpaint(source=source, mask=mask):
                return source, mask
            case (
                ImageToImage(source=source)
                | Outpaint(source=source)
                | CreativeUpscale(source=source)
                | Upscale(source=source)
                | CutOut(source=source)
            ):
                return (source,)
            case unknown:
                assert_never(unknown)

    @property
    def source(self) -> BlobRef | None:
        """Return the picture that the work starts from, if there is one."""
        return self.task_sources[0] if self.task_sources else None

    @property
    def control(self) -> Guide | None:
        """Return the guide that is a control picture, if there is one."""
        return next((each for each in self.guides if each.controls), None)

    def guide_named(self, name: str) -> BlobRef | None:
        """Return the picture that somebody gave to guide it, by its kind: "edges", "style", "style2"."""
        of_kind = [each for each in self.guides if each.kind == name.rstrip("0123456789")]
        number = int(name.removeprefix(of_kind[0].kind) or 1) if of_kind else 0
        found = of_kind[number - 1] if 1 <= number <= len(of_kind) else None
        return (found.of or found.picture) if found else None

    @property
    def paints(self) -> bool:
        """Return whether a painting model does the work, with its steps and limits."""
        return isinstance(self.task, PaintingTask)

    @property
    def cuts_out(self) -> bool:
        """Return whether something is cut out; what is made from finished pictures has its background."""
        has_it = self.enlarges or isinstance(self.task, Letter)
        return isinstance(self.task, CutOut) or (self.background != "" and not has_it)

    @property
    def enlarges(self) -> bool:
        """Return whether a picture is made larger, and no other is made."""
        return isinstance(self.task, Upscale | CreativeUpscale)

    @property
    def steps_taken(self) -> int:
        """Return the denoising steps of painting it from words."""
        return drafts.length(self.steps, self.draft_steps) if self.draft else self.steps

    def drafted_for(self, model: ModelInfo) -> GenerationRequest:
        """Return the request with the steps of a draft that the model has for its own number of steps."""
        return replace(self, draft_steps=model.draft_steps if self.draft and self.steps == model.steps else 0)

    def seed_of(self, index: int) -> int:
        """Return the seed of picture `index` (0-based); each can be painted again alone with it."""
        return (self.seed + index) % SEED_LIMIT

    def variation(self, of: BlobRef, seed: int, strength: float) -> GenerationRequest:
        """Return the request for variations of a picture. All are shown."""
        task = ImageToImage(source=of, strength=strength)
        return replace(self, seed=seed, best=1, task=task, pack="", sizes=())

    def alone(self, seed: int) -> GenerationRequest:
        """Return the request for one of its pictures alone, by the picture's seed."""
        return replace(self, seed=seed, count=1, best=1)

    def starting_from(self, *sources: BlobRef) -> GenerationRequest:
        """Return the request with other pictures in place of its `sources`, which are as many."""
        count = len(self.task_sources)
        own, others = sources[:count], iter(sources[count:])
        guides = tuple(
            replace(each, picture=next(others), of=next(others) if each.of else "") for each in self.guides
        )
        moved = replace(self, guides=guides) if guides else self
        match moved.task:
            case TextToImage():
                return moved
            case Edit() | Blend() | Letter() as task:
                return replace(moved, task=replace(task, sources=own))
            case Inpaint() as task:
                source, mask = own
                return replace(moved, task=replace(task, source=source, mask=mask))
            case ImageToImage() | Outpaint() | CreativeUpscale() | Upscale() | CutOut() as task:
                (source,) = own
                return replace(moved, task=replace(task, source=source))
            case unknown:
                assert_never(unknown)

    def enlarged(
        self,
        of: BlobRef,
        width: int,
        height: int,
        to: tuple[int, int] | None = None,
        *,
        creative: bool = False,
    ) -> GenerationRequest:
        """Return the request that upscales one picture of `width` × `height` pixels: to a size, or by 4."""
        across, down = to or (width * 4, height * 4)
        kind, factor = CreativeUpscale if creative else Upscale, max(1, round(across / width))
        task = kind(source=of, factor=factor)
        if (across, down) != (width * factor, height * factor):
            task = replace(task, width=width, height=height)
        whole = replace(self, task=task, count=1, best=1, width=across, height=down, draft=False)
        return replace(whole, guides=(), pack="", sizes=())

    def cut_out(
        self, of: BlobRef, width: int, height: int, background: str = TRANSPARENT
    ) -> GenerationRequest:
        """Return the request that cuts out what one picture of `width` × `height` pixels shows."""
        whole = replace(
            self, task=CutOut(source=of), count=1, best=1, width=width, height=height, draft=False
        )
        return replace(whole, background=background, guides=(), pack="", sizes=(), paper="")

    def before_upscale(self) -> GenerationRequest:
        """Return the request at the size before it was enlarged, from words alone; else itself."""
        match self.task:
            case Upscale() | CreativeUpscale() as task:
                width, height = (
                    task.width or self.width // task.factor,
                    task.height or self.height // task.factor,
                )
                return replace(self, task=TextToImage(), width=width, height=height, paper="")
            case CutOut() | Letter():
                return replace(self, task=TextToImage())
            case TextToImage() | ImageToImage() | Edit() | Blend() | Inpaint() | Outpaint():
                return self
            case unknown:
                assert_never(unknown)

    def to_json(self) -> dict[str, Any]:
        """Return the request as JSON, with the version of its form."""
        values = asdict(self)
        task = {"kind": self.task.kind, **values.pop("task")}
        return {"version": REQUEST_VERSION, **values, "task": task}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the request that `to_json` made, in this version or an earlier one.

        Raises NewerVersion, or ValueError, TypeError or KeyError for what is no request.
        """
        values = dict(data)
        version = values.pop("version", 1)
        if version == 1:
            values = _from_version_1(values)
        elif version != REQUEST_VERSION:
            raise NewerVersion(version)
        values["task"] = _task(values["task"])
        values["loras"] = tuple(LoraWeight(**each) for each in values.get("loras", ()))
        values["guides"] = tuple(Guide(**each) for each in values.get("guides", ()))
        values["sizes"] = tuple(NamedSize(**each) for each in values.get("sizes", ()))
        return cls(**values)


_TASKS: dict[str, type[Task]] = {each.kind: each for each in get_args(Task)}


class NewerVersion(ValueError):
    """A request that a newer Easel wrote."""

    def __init__(self, version: object) -> None:
        known = f"this Easel reads up to {REQUEST_VERSION}"
        super().__init__(f"Its request is of version {version}, and {known}: update Easel.")


def _task(data: Mapping[str, Any]) -> Task:
    values = dict(data)
    return _TASKS[values.pop("kind")](**values)


def _from_version_1(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return JSON of version 1, which gave the task by `source`, `strength` and `upscale`, as version 2."""
    values = dict(data)
    source, strength = values.pop("source", None), values.pop("strength", 1.0)
    factor = values.pop("upscale", 1)
    task: dict[str, Any] = {"kind": "text_to_image"}
    if factor > 1:
        task = {"kind": "upscale", "source": source or "", "factor": factor}
    elif source is not None:
        task = {"kind": "image_to_image", "source": source, "strength": strength}
    return {**values, "task": task}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineJob:
    """A request, with what decides its turn."""

    id: str
    request: GenerationRequest
    tenant: str
    user: str
    tenant_weight: float = 1.0
    user_weight: float = 1.0
    cost: float = 0.0  # estimated device-seconds; 0 asks the engine to estimate
    deaths: int = 0  # workers that died while they ran this job
    relaxed: bool = False  # runs only while no fast job wants the device
    running: int | None = None  # jobs of this user inside the engine at once; None: the queue's bound
    done: frozenset[int] = frozenset()  # pictures that are stored already, from before it was interrupted

    def __post_init__(self) -> None:
        """Raise ValueError for numbers that would spoil the order for everybody."""
        heavy = 0 < self.tenant_weight < math.inf and 0 < self.user_weight < math.inf
        if not heavy or not 0 <= self.cost < math.inf:
            weights = self.tenant_weight, self.user_weight
            raise ValueError(f"job {self.id} has weights {weights} and cost {self.cost}")
        if self.running is not None and self.running < 1:
            raise ValueError(f"job {self.id} could never run: running is {self.running}")


@dataclass(frozen=True, slots=True)
class QueuePosition:
    """Where a waiting job stands in the queue."""

    number: int  # 1 is next
    wait: float  # seconds until it starts, expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One person's part of the queue, for the page that shows whose turn is next."""

    tenant: str
    user: str
    waiting: tuple[str, ...]  # job ids, in order
    running: tuple[str, ...]
    virtual_time: float  # weighted device-seconds; the least goes next
    weight: float
    served: float  # device-seconds since start
    relaxed: bool = False
    held: tuple[str, ...] = ()  # job ids, in order; they wait, but are not let in


Terms = Literal["", "open", "conditional", "non-commercial"]
"""What a licence lets people do with a model: anything, business within its conditions, no business. ""
is for models that nobody has said it of."""


Judge = Literal["", "drawings", "model"]
"""What tells how close a picture is to its prompt: nothing, the classifier of drawings that ships, or the
model that a setting names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraInfo:
    """What people may know of a LoRA, which changes what a model paints."""

    name: str
    title: str = ""
    words: str = ""  # that it was trained with: the model is told them, too
    licence: str = ""
    terms: Terms = ""


TAKEN: Mapping[str, tuple[GuideKind, ...]] = {
    "canny": ("edges",),
    "softedge": ("edges",),
    "depth": ("depth",),
    "openpose": ("pose",),
    "scribble": ("scribble",),
    "lineart": ("scribble",),
    "union": ("edges", "depth", "pose", "scribble"),
    "ip-adapter": ("style", "subject"),
}
"""What weights guide by, by what they were trained with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuideInfo:
    """What people may know of weights that let a picture guide the painting."""

    name: str
    takes: str  # what they were trained with: a key of TAKEN
    title: str = ""
    licence: str = ""
    terms: Terms = ""

    @property
    def kinds(self) -> tuple[GuideKind, ...]:
        """Return what they take from a picture."""
        return TAKEN[self.takes]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What one model of the catalog can do, and its defaults."""

    name: str
    title: str
    licence: str
    width: int
    height: int
    steps: int
    guidance: float
    multiple: int = 8  # sizes are rounded to this many pixels
    min_side: int = 64
    max_side: int = 2048
    max_steps: int = 100
    draft_steps: int = 0  # of a draft with the model's own steps; 0: about half
    tasks: frozenset[TaskKind] = frozenset(("text_to_image", "image_to_image", "edit", "blend"))
    negative_prompt: bool = True
    strength: bool = True  # image_to_image takes one; else a source is an example to paint by
    references: int = 0  # pictures that it is given at once to paint by; 0: it starts from one, or from a mix
    extending: float = 0.9  # strength with which it paints around an image
    one_thing: bool = False  # it draws what a prompt names once, in the middle, and nothing else
    schedulers: tuple[str, ...] = ()  # that a request may name
    loras: tuple[LoraInfo, ...] = ()  # that a request may name
    guides: tuple[GuideInfo, ...] = ()  # weights by which pictures guide it
    controlled: frozenset[TaskKind] = frozenset()  # the tasks that a control picture may guide
    terms: Terms = ""
    compared: bool = (
        False  # its calls are joined only where a comparison on this machine has shown that they may
    )
    weights: bool = False  # weights in a prompt change the picture; see `engine.weights`
    cuts_out: bool = False  # what cuts out here knows pictures like this model's
    seeds: bool = True  # a seed makes the same picture again
    guided: bool = True  # guidance changes what it paints
    sizes: tuple[tuple[int, int], ...] = ()  # the only ones that it paints; others are cropped out of these
    prices: tuple[Price, ...] = ()  # of one picture, where it is paid for; see `engine.prices`
    currency: str = ""  # of the prices, as in "EUR"
    quality: str = ""  # that pictures are asked for in, where they have a price by it

    def guide(self, kind: GuideKind) -> GuideInfo | None:
        """Return the weights by which a picture of a kind guides it, if there are any."""
        return next((each for each in self.guides if kind in each.kinds), None)

    @property
    def controls(self) -> tuple[ControlKind, ...]:
        """Return what control pictures it takes."""
        return tuple(each for each in CONTROLS if self.guide(each)) if self.controlled else ()

    judge: Judge = ""  # what tells which of its pictures is closest to a prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A worker took the job; it may still wait for its first step."""

    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Steps done of all the job's pictures together, and now and then a preview."""

    job: str
    step: int
    steps: int
    device_seconds: float
    preview: bytes | None = None  # WebP, small


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One finished picture."""

    job: str
    index: int
    seed: int
    width: int
    height: int
    png: bytes = field(repr=False)
    plain: bytes = field(default=b"", repr=False)  # the picture without the words that were set on it
    joined: bool = False  # painted in forward passes with other pictures
    parts: int = 1  # in which the prompt was encoded, as it was longer than the encoder takes
    left_out: str = ""  # the prompt's last words, which no encoder has taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """All pictures were handed over; nothing follows."""

    job: str
    device_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The job ended without its pictures (`errors.Cancelled` when someone asked for that)."""

    job: str
    error: EngineError
    device_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarted:
    """The job waits again and will run with the same seed: its worker was lost, or needed the memory."""

    job: str
    deaths: int


EngineEvent = Started | Progress | Picture | Finished | Failed | Restarted


@dataclass(frozen=True, slots=True)
class Loading:
    """A model that is being loaded."""

    model: str
    fetched: int = 0  # bytes in the hub's cache so far; 0 for a model that is not being fetched
    total: int = 0  # bytes that there will be; 0 where nobody knows


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """One device's worker."""

    device: str
    ready: bool  # else it starts, or is being replaced
    models: tuple[str, ...]  # loaded, the one used last at the end
    jobs: int  # inside it
    restarts: int  # times it was lost since start
    out: str = ""  # why its device is out of service; empty while it is in service
    loading: Loading | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """What the engine does at this moment, and how busy it was: it explains why jobs wait."""

    workers: tuple[WorkerStatus, ...]
    inside: int  # jobs; relaxed ones, too
    waiting: int  # jobs; relaxed ones, too
    held: int  # jobs
    relaxed: int  # jobs that wait, are held or are inside in the relaxed class
    last_minute: float  # device-seconds used
    last_five_minutes: float  # device-seconds used
    rows: float  # mean batch rows of the last five minutes' forward passes; 0 without any
    stalled: float = 0.0  # seconds since a device did anything, while there was work for it

    @property
    def restarts(self) -> int:
        """Return the number of workers lost since start."""
        return sum(worker.restarts for worker in self.workers)

    @property
    def ready(self) -> int:
        """Return the number of workers that take jobs."""
        return sum(worker.ready for worker in self.workers)

    @property
    def out(self) -> tuple[WorkerStatus, ...]:
        """Return the workers whose device is out of service."""
        return tuple(worker for worker in self.workers if worker.out)


class Engine(Protocol):
    """From jobs to events. One implementation runs worker processes, one paints in memory."""

    async def start(self) -> None: ...

    def models(self) -> tuple[ModelInfo, ...]:
        """Return the models that may be asked for, the default first."""
        ...

    def estimate(self, request: GenerationRequest) -> float:
        """Return the expected device-seconds of a request. Raises UnknownModel."""
        ...

    def learn(self, request: GenerationRequest, seconds: float) -> None:
        """Improve later estimates by what a request cost before. Raises UnknownModel."""
        ...

    def submit(self, job: EngineJob) -> QueuePosition:
        """Queue a job; return its position. Raises UnknownModel."""
        ...

    def resume(self, jobs: Iterable[EngineJob]) -> dict[str, EngineError]:
        """Queue jobs from before this process, in this order, before all that came since.

        Return the errors of those that cannot be queued, by job id.
        """
        ...

    def cancel(self, job: str) -> bool:
        """Ask for a waiting or running job to end. False when the engine does not know it."""
        ...

    def hold(self, job: str) -> bool:
        """Let a waiting job pass over its turns until `unhold`. False when it does not wait.

        Called right after `submit`, it comes before the job could start. One that is inside goes on there,
        and is held when it comes to wait again.
        """
        ...

    def unhold(self, job: str) -> bool:
        """Let a job take its turn again, among its owner's others as before. False when it does not wait."""
        ...

    def relax(self, job: str) -> bool:
        """Move a job that waits or is held to the relaxed class. False when it does neither."""
        ...

    def move(self, job: str, tenant: str, user: str) -> bool:
        """Let a job that waits or is held stand in another lane. False when it does neither."""
        ...

    def position(self, job: str) -> QueuePosition | None:
        """Return the position of a waiting job; None when it is held or does not wait."""
        ...

    def lanes(self) -> tuple[Lane, ...]:
        """Return the lanes of everybody who waits or paints, in the order of their turns.

        Relaxed lanes come behind all others, and lanes with nothing but held jobs come last.
        """
        ...

    def status(self) -> EngineStatus: ...

    def events(self) -> AsyncIterator[EngineEvent]:
        """Yield all events in order. There may be one reader."""
        ...

    async def close(self, drain: float = 0.0) -> None:
        """Start no more jobs, give running ones `drain` seconds to end, then stop the workers."""
        ...
