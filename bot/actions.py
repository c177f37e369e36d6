"""What a button means: its id ↔ (action, job, picture), and the child request it derives from the parent.

An id is `v1:<action>:<job>` or `v1:<action>:<job>:<index>`, at most 100 characters, with `:relax` at its end
where what it makes is to be painted behind the others. It holds all there is to know, so a button works after
a restart, an upgrade, and a month later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal, assert_never, get_args

from bot.errors import Refusal
from bot.models import Job, State, StoredPicture
from bot.prompt import DEFAULT_COUNT
from engine.types import GenerationRequest, ImageToImage, TextToImage, Upscale

MAX_ID = 100  # characters; Discord's limit is the least

Name = Literal[
    "upscale",
    "vary_subtle",
    "vary_strong",
    "again",
    "edit",
    "info",
    "pick",
    "show",
    "share",
    "cancel",
    "delete",
    "report",
    "keep",
    "remove",
    "forget",
    "try",
]
DERIVING: tuple[Name, ...] = ("upscale", "vary_subtle", "vary_strong", "again")
STRENGTH: dict[str, float] = {"vary_subtle": 0.4, "vary_strong": 0.75}

_OF_A_PICTURE: tuple[Name, ...] = ("upscale", "vary_subtle", "vary_strong", "pick")
_ID = re.compile(rf"v1:({'|'.join(get_args(Name))}):(\w{{1,32}})(?::(\d{{1,2}}))?(:relax)?", re.ASCII)
_TRY = "v1:try:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A press: `job` and `index` (of the picture, 0-based) for all but "try", which holds a prompt's text."""

    name: Name
    job: str = ""
    index: int | None = None
    text: str = ""
    relax: bool = False  # of what derives a job

    @property
    def id(self) -> str:
        if self.name == "try":
            return _TRY + self.text
        index = "" if self.index is None else f":{self.index}"
        return f"v1:{self.name}:{self.job}{index}{':relax' if self.relax else ''}"


def parse(button: str) -> Action:
    """The action of a button's id. Raises Refusal for an id that no card of ours carries."""
    if button.startswith(_TRY) and len(button) <= MAX_ID:
        return Action(name="try", text=button.removeprefix(_TRY))
    found = _ID.fullmatch(button)
    if (
        not found
        or (found[3] is None) == (found[1] in _OF_A_PICTURE)
        or (found[4] and found[1] not in DERIVING)
    ):
        raise Refusal("This button is not one that Easel knows. Ask anew with /imagine.", code="unknown")
    name: Name = next(each for each in get_args(Name) if each == found[1])
    index = None if found[3] is None else int(found[3])
    return Action(name=name, job=found[2], index=index, relax=bool(found[4]))


def picture(job: Job, index: int) -> StoredPicture:
    """Picture `index` of a job. Raises Refusal when there is none."""
    single = [each for each in job.pictures if each.index >= 0]
    for each in single:
        if each.index == index and job.state is State.RENDERED:
            return each
    if job.state is not State.RENDERED:
        raise Refusal("That job has no pictures. Press Again to paint it anew.", code="no_picture")
    allowed = "only one" if len(single) == 1 else f"{len(single)}"
    raise Refusal(f"There is no picture {index + 1}; that job has {allowed}.", code="no_picture")


def derive(action: Action, parent: Job, seed: int) -> GenerationRequest:
    """The request that a press asks for: the parent's, changed as little as possible, with a fresh seed.

    Variations of an enlarged picture start from the picture that was enlarged, at its size. Raises Refusal.
    """
    request = parent.request
    if action.name == "again":
        return replace(request, seed=seed)
    chosen = picture(parent, action.index or 0)
    if action.name == "upscale":
        if isinstance(request.task, Upscale):
            raise Refusal("That picture is enlarged already.", code="enlarged")
        return replace(request.enlarged(chosen.blob, chosen.width, chosen.height), seed=chosen.seed)
    strength = STRENGTH[action.name]
    match request.task:
        case Upscale(source=source):
            before = replace(request.before_upscale(), count=DEFAULT_COUNT)
            return before.variation(source, seed, strength)
        case TextToImage() | ImageToImage():
            return request.variation(chosen.blob, seed, strength)
        case unknown:
            assert_never(unknown)
