"""What can be pressed, declared once: every press with its words, its place, and whose it is.

Cards are drawn from `ACTIONS`, and surfaces tell by it how a press is answered; none keeps names of its own.
What a press does is a method of a service, which `bot/router.py` names.

An id is `v1:<action>:<job>` or `v1:<action>:<job>:<index>`, with `:relax` at its end where what it makes is
to be painted behind the others. It holds all there is to know, so a button works after a restart, an upgrade,
and a month later. An offered text that does not fit is kept in the store, and `v1:offer:<key>` names it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal, assert_never

from bot import upscaling
from bot.errors import Refusal
from bot.i18n import _, ngettext
from bot.models import Job, State, StoredPicture
from bot.prompts import DEFAULT_COUNT
from engine.types import (
    TRANSPARENT,
    Blend,
    CreativeUpscale,
    CutOut,
    Edit,
    GenerationRequest,
    ImageToImage,
    Inpaint,
    Letter,
    Outpaint,
    TaskKind,
    TextToImage,
    Upscale,
)

MAX_ID = 64  # bytes; the least that a chat platform takes
OLD_MAX_ID = 100  # characters, of messages that were posted before offers were kept

Name = str
Kind = Literal["waiting", "painting", "done", "upscaled", "refused", "failed", "cancelled", "deleted", "text"]
"""The kinds of cards."""

Answers = Literal["job", "form", "card", "replacement", "message", "place"]
"""A new job; a form to fill in; a card for the person who pressed; one in place of the pressed card; the
job's own message anew; a question where to show it."""

About = Literal["job", "picture", "text", "key", "sent"]
"""What an id names: a job, a picture of one, a prompt's text, the key of something that is kept, or one of
several images that somebody sent."""

Whose = Literal["anyone", "owner", "moderator", "administrator"]
Style = Literal["plain", "primary", "danger"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSpec:
    """One thing that can be pressed. In its words, "{n}" is the picture's number."""

    name: Name  # in ids
    answers: Answers
    about: About = "job"
    label: str = ""  # at most 34 characters
    alone: str = ""  # the label where there is one picture only
    retry: str = ""  # the label where the job has failed
    spoken: str = ""  # for screen readers
    icon: str = ""  # one emoji, decoration only
    symbol: str = ""  # the icon's name where a surface draws its own
    style: Style = "plain"
    confirm: str = ""  # what it says before a second press, where a surface can ask so
    on: tuple[Kind, ...] = ()  # kinds of a job's card that have it
    overflow: bool = False  # behind ⋯ there, not in a row
    of_one: bool = False  # not beside those of other images: a card of several leads to a card of each
    of_series: bool = False  # only where the job is one of a series
    of_draft: bool = False  # only where the job is a draft
    in_contest: bool = False  # only while a contest takes it
    task: TaskKind | Literal["", "same", "form"] = ""  # what a model must do for it
    # ("same": what made the job; "form": that, or painting from words)
    whose: tuple[Whose, ...] = ("anyone",)
    reaction: str = ""  # the emoji, without a variant, that does it on a result's message
    undone: bool = False  # taking that reaction away undoes it
    menu: str = ""  # its entry in a message's menu
    menu_help: str = ""
    sent: str = ""  # the command that does it with an image of a message that shows no job


_RESULT: tuple[Kind, ...] = ("done", "upscaled")

EXTENDING: dict[Name, str] = {
    "zoom_15": "1.5x",
    "zoom_2": "2x",
    "square": "square",
    "pan_left": "left",
    "pan_right": "right",
    "pan_up": "up",
    "pan_down": "down",
}
"""What each way to extend a picture is as the option of /imagine."""

_EXTENSIONS = tuple(
    ActionSpec(
        name=name, answers="job", about="picture", label=label, spoken=spoken, icon=icon, task="outpaint"
    )
    for name, label, spoken, icon in (
        ("zoom_15", _("Zoom out 1.5×"), _("Zoom out of image {n} by 1.5"), "🔭"),
        ("zoom_2", _("Zoom out 2×"), _("Zoom out of image {n} by 2"), "🔭"),
        ("square", _("Make square"), _("Paint on at the shorter sides of image {n}"), "🔲"),
        ("pan_left", _("Left"), _("Paint on at the left of image {n}"), "⬅️"),
        ("pan_right", _("Right"), _("Paint on at the right of image {n}"), "➡️"),
        ("pan_up", _("Up"), _("Paint on above image {n}"), "⬆️"),
        ("pan_down", _("Down"), _("Paint on below image {n}"), "⬇️"),
    )
)

_FILES = tuple(
    ActionSpec(name=name, answers="card", label=label, spoken=spoken, icon="⬇️")
    for name, label, spoken in (
        *(
            (f"as_{each}", name, _("Get these images as {format}", format=name))
            for each, name in (
                ("png", _("PNG")),
                ("jpeg", _("JPEG")),
                ("webp", _("WebP")),
                ("avif", _("AVIF")),
                ("gif", _("GIF")),
                ("svg", _("SVG")),
                ("pdf", _("PDF")),
                ("tiff", _("TIFF")),
            )
        ),
        ("loop_gif", _("GIF loop"), _("Get these images as a film that loops, GIF")),
        ("loop_webp", _("WebP loop"), _("Get these images as a film that loops, WebP")),
    )
)
FILES: tuple[Name, ...] = tuple(each.name for each in _FILES)
"""What hands images over in a format."""

ACTIONS: tuple[ActionSpec, ...] = (
    ActionSpec(
        name="upscale",
        answers="job",
        about="picture",
        label="U{n}",
        alone=_("Upscale"),
        spoken=_("Upscale image {n}"),
        icon="🔍",
        symbol="enlarge",
        on=_RESULT,
        task="upscale",
        menu=_("Upscale"),
        menu_help=_("Upscale this image."),
    ),
    ActionSpec(
        name="vary_subtle",
        answers="job",
        about="picture",
        label=_("V{n} subtle"),
        alone=_("Vary (subtle)"),
        spoken=_("Subtle variations of image {n}"),
        icon="🎲",
        symbol="vary",
        on=_RESULT,
        task="image_to_image",
        menu=_("Variations"),
        menu_help=_("Generate variations of this image."),
    ),
    ActionSpec(
        name="vary_strong",
        answers="job",
        about="picture",
        label=_("V{n} strong"),
        alone=_("Vary (strong)"),
        spoken=_("Strong variations of image {n}"),
        icon="🎲",
        symbol="vary",
        on=_RESULT,
        overflow=True,
        task="image_to_image",
    ),
    ActionSpec(
        name="upscale_creative",
        answers="job",
        about="picture",
        label=_("U{n} creative"),
        alone=_("Upscale (creative)"),
        spoken=_("Upscale image {n}, and let the model paint finer detail into it"),
        icon="🔎",
        symbol="enlarge",
        on=_RESULT,
        overflow=True,
        of_one=True,
        task="creative_upscale",
    ),
    ActionSpec(
        name="pick",
        answers="card",
        about="picture",
        label="{n}",
        spoken=_("Show image {n} with its buttons"),
    ),
    ActionSpec(
        name="again",
        answers="job",
        label=_("Again"),
        retry=_("Try again"),
        spoken=_("Generate the same prompt with another seed"),
        icon="🔁",
        symbol="again",
        on=("done", "failed", "cancelled"),
        task="same",
    ),
    ActionSpec(
        name="full",
        answers="job",
        label=_("Paint in full"),
        spoken=_("Generate this draft with all its steps and the same seed"),
        icon="🖌️",
        symbol="again",
        on=("done",),
        of_draft=True,
        task="same",
    ),
    ActionSpec(
        name="edit",
        answers="form",
        label=_("Edit"),
        spoken=_("Edit the prompt and generate again"),
        icon="✏️",
        symbol="edit",
        on=_RESULT,
        task="form",
        menu=_("Edit…"),
        menu_help=_("Edit this image's prompt and generate again."),
    ),
    ActionSpec(
        name="cut_out",
        answers="job",
        about="picture",
        label=_("Cut out {n}"),
        alone=_("Cut out"),
        spoken=_("Make the background of image {n} transparent"),
        icon="✂️",
        symbol="edit",
        on=_RESULT,
        overflow=True,
        of_one=True,
        task="cut_out",
        menu=_("Cut out"),
        menu_help=_("Make this image's background transparent."),
    ),
    ActionSpec(
        name="region",
        answers="card",
        label=_("Change a region"),
        spoken=_("Change a part of one of these images, and nothing else"),
        icon="🖍️",
        symbol="edit",
        on=_RESULT,
        overflow=True,
        task="inpaint",
    ),
    ActionSpec(
        name="region_image",
        answers="card",
        about="picture",
        label="{n}",
        spoken=_("Change a part of image {n}"),
        task="inpaint",
    ),
    ActionSpec(
        name="region_form",
        answers="form",
        about="picture",
        label=_("Mark it"),
        spoken=_("Say which part to change, and into what"),
        icon="🖍️",
        symbol="edit",
        style="primary",
        task="inpaint",
    ),
    ActionSpec(
        name="extend",
        answers="card",
        label=_("Extend"),
        spoken=_("Zoom out of one of these images, or paint on at its sides"),
        icon="↔️",
        symbol="enlarge",
        on=_RESULT,
        overflow=True,
        task="outpaint",
    ),
    ActionSpec(
        name="extend_image",
        answers="card",
        about="picture",
        label="{n}",
        spoken=_("Zoom out of image {n}, or paint on at its sides"),
        task="outpaint",
    ),
    *_EXTENSIONS,
    ActionSpec(
        name="sizes",
        answers="card",
        label=_("Sizes"),
        spoken=_("One of these images in all sizes of a pack, such as social media"),
        icon="📐",
        symbol="enlarge",
        task="form",
        on=_RESULT,
        overflow=True,
    ),
    ActionSpec(
        name="sizes_image",
        answers="card",
        about="picture",
        label="{n}",
        spoken=_("Image {n} in all sizes of a pack"),
    ),
    ActionSpec(
        name="change",
        answers="form",
        about="picture",
        label=_("Change {n}"),
        alone=_("Change image"),
        spoken=_("Change image {n} by your words; the rest of it stays"),
        icon="🪄",
        symbol="edit",
        on=_RESULT,
        overflow=True,
        of_one=True,
        task="image_to_image",
    ),
    ActionSpec(
        name="describe",
        answers="card",
        about="picture",
        label=_("Describe {n}"),
        alone=_("Describe"),
        spoken=_("Prompts for what image {n} shows"),
        icon="💬",
        symbol="describe",
        on=_RESULT,
        overflow=True,
        of_one=True,
        menu=_("Describe"),
        menu_help=_("Prompts for what this image shows."),
        sent="describe",
    ),
    ActionSpec(
        name="info",
        answers="card",
        label=_("Info"),
        spoken=_("Seed, model, cost and origin"),
        icon="ℹ️",
        symbol="info",
        on=_RESULT,
        overflow=True,
        menu=_("Info"),
        menu_help=_("Show this image's seed, model, cost and origin."),
    ),
    ActionSpec(
        name="favourite",
        answers="card",
        label=_("Favourite"),
        spoken=_("Add these images to your favourites, or remove them"),
        icon="⭐",
        symbol="star",
        on=_RESULT,
        overflow=True,
        reaction="⭐",
        undone=True,
    ),
    ActionSpec(
        name="download",
        answers="card",
        label=_("Download"),
        spoken=_("Get these images as files, as they are"),
        icon="⬇️",
        symbol="download",
        on=_RESULT,
        overflow=True,
        reaction="✉",
    ),
    ActionSpec(
        name="download_as",
        answers="card",
        label=_("Download as …"),
        spoken=_("Get these images as JPEG, WebP, AVIF, GIF, SVG, PDF or TIFF, or as a loop"),
        icon="⬇️",
        symbol="download",
        on=_RESULT,
        overflow=True,
    ),
    *_FILES,
    ActionSpec(
        name="alt",
        answers="card",
        label=_("Alt text"),
        spoken=_("What somebody who cannot see these images is told of them"),
        icon="🦮",
        symbol="describe",
        on=_RESULT,
        overflow=True,
        whose=("owner",),
    ),
    ActionSpec(
        name="share",
        answers="place",
        label=_("Share to channel"),
        spoken=_("Show this result in a channel"),
        icon="📣",
        on=_RESULT,
        overflow=True,
        whose=("owner",),
    ),
    ActionSpec(
        name="enter",
        answers="card",
        label=_("Enter contest"),
        spoken=_("Enter one of these images in the contest"),
        icon="🏆",
        symbol="star",
        on=_RESULT,
        overflow=True,
        in_contest=True,
        whose=("owner",),
    ),
    ActionSpec(
        name="enter_image",
        answers="replacement",
        about="picture",
        label="{n}",
        spoken=_("Enter image {n} in the contest"),
        whose=("owner",),
    ),
    ActionSpec(
        name="delete",
        answers="replacement",
        label=_("Delete"),
        spoken=_("Delete these images"),
        icon="🗑️",
        symbol="bin",
        style="danger",
        confirm=_("Delete for good"),
        on=_RESULT,
        overflow=True,
        whose=("owner", "moderator"),
        reaction="❌",
    ),
    ActionSpec(
        name="report",
        answers="card",
        label=_("Report"),
        spoken=_("Report these images to the administrators"),
        icon="🚩",
        symbol="flag",
        on=_RESULT,
        overflow=True,
    ),
    ActionSpec(
        name="cancel",
        answers="replacement",
        label=_("Cancel"),
        spoken=_("Cancel this job"),
        symbol="close",
        style="danger",
        on=("waiting", "painting"),
        whose=("owner", "moderator"),
    ),
    ActionSpec(
        name="cancel_series",
        answers="replacement",
        label=_("Cancel all of them"),
        spoken=_("Cancel all unfinished jobs of this series"),
        symbol="close",
        style="danger",
        on=("waiting", "painting"),
        of_series=True,
        whose=("owner", "moderator"),
    ),
    ActionSpec(name="start", answers="job", about="key", style="primary", whose=("owner",)),
    ActionSpec(
        name="dismiss",
        answers="replacement",
        about="key",
        label=_("Cancel"),
        spoken=_("Start none of these jobs"),
        symbol="close",
        whose=("owner",),
    ),
    ActionSpec(name="which", answers="job", about="sent"),
    ActionSpec(name="which_form", answers="form", about="sent"),
    ActionSpec(name="more", answers="card", label="⋯", spoken=_("More to do with these images")),
    ActionSpec(name="show", answers="message"),
    ActionSpec(
        name="keep",
        answers="card",
        label=_("Keep"),
        spoken=_("Keep these images"),
        style="primary",
        whose=("administrator",),
    ),
    ActionSpec(
        name="remove",
        answers="card",
        label=_("Remove"),
        spoken=_("Remove these images, with a strike"),
        style="danger",
        whose=("administrator",),
    ),
    ActionSpec(
        name="forget",
        answers="card",
        about="key",
        label=_("Delete everything"),
        spoken=_("Delete all my data"),
        style="danger",
        whose=("owner",),
    ),
    ActionSpec(name="contest_entry", answers="card", about="key"),
    ActionSpec(
        name="vote",
        answers="replacement",
        about="key",
        label=_("Vote for this one"),
        spoken=_("Vote for this entry of the contest"),
        style="primary",
    ),
    ActionSpec(
        name="report_entry",
        answers="card",
        about="key",
        label=_("Report"),
        spoken=_("Report this entry to the administrators"),
        icon="🚩",
        symbol="flag",
    ),
    ActionSpec(name="setup", answers="replacement", about="key", whose=("administrator",)),
    ActionSpec(
        name="edit_words",
        answers="form",
        about="key",
        label=_("Edit"),
        spoken=_("Edit this prompt, then generate"),
        icon="✏️",
        symbol="edit",
        whose=("owner",),
    ),
    ActionSpec(
        name="former_words",
        answers="replacement",
        about="key",
        label=_("Undo"),
        spoken=_("Go back to the prompt as it was"),
        icon="↩️",
        symbol="back",
        whose=("owner",),
    ),
    ActionSpec(name="offer", answers="job", about="key", style="primary", whose=("owner",)),
    ActionSpec(name="paint", answers="job", about="key", style="primary", whose=("owner",)),
    ActionSpec(name="try", answers="job", about="text", style="primary"),
)
SPECS = {each.name: each for each in ACTIONS}
MENU = tuple(each for each in ACTIONS if each.menu)
"""What stands in a message's menu."""
REACTIONS = {each.reaction: each for each in ACTIONS if each.reaction}
"""What people can put on a result's message."""
DERIVING = tuple(each.name for each in ACTIONS if each.answers == "job" and each.about in ("job", "picture"))
"""What makes a job from a job."""

STRENGTH: dict[Name, float] = {"vary_subtle": 0.4, "vary_strong": 0.75}

_ID = re.compile(rf"v1:({'|'.join(SPECS)}):(\w{{1,32}})(?::(\d{{1,2}}))?(:relax)?", re.ASCII)
_TRY = "v1:try:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A press: `job` and `index` (of the picture, 0-based) for all but "try", which holds a prompt's text.

    Of what is about a key, `job` is that key.
    """

    name: Name
    job: str = ""
    index: int | None = None
    text: str = ""
    relax: bool = False  # of what derives a job

    @property
    def spec(self) -> ActionSpec:
        return SPECS[self.name]

    @property
    def id(self) -> str:
        if self.spec.about == "text":
            return _TRY + self.text
        index = "" if self.index is None else f":{self.index}"
        return f"v1:{self.name}:{self.job}{index}{':relax' if self.relax else ''}"


def parse(button: str) -> Action:
    """Return the action of a button's id. Raises Refusal for an id that no card of ours carries."""
    if button.startswith(_TRY) and len(button) <= OLD_MAX_ID:
        return Action(name="try", text=button.removeprefix(_TRY))
    found = _ID.fullmatch(button)
    if (
        not found
        or (found[3] is None) == (SPECS[found[1]].about == "picture")
        or (found[4] and found[1] not in DERIVING)
    ):
        raise Refusal(_("Easel does not know this button. Ask again with /imagine."), code="unknown")
    index = None if found[3] is None else int(found[3])
    return Action(name=found[1], job=found[2], index=index, relax=bool(found[4]))


def job_in(button: str) -> str:
    """Return the job that a button is about; nothing where it is about none, or is none of ours."""
    try:
        action = parse(button)
    except Refusal:
        return ""
    return action.job if action.spec.about in ("job", "picture") else ""


def fits(id: str) -> bool:
    """Tell whether every platform takes a button of that id."""
    return len(id.encode()) <= MAX_ID


def picture(job: Job, index: int) -> StoredPicture:
    """Return picture `index` of a job. Raises Refusal when there is none."""
    for each in job.singles:
        if each.index == index and job.state is State.RENDERED:
            return each
    if job.state is not State.RENDERED:
        raise Refusal(_("That job has no images. Press Again to run it once more."), code="no_picture")
    notice = ngettext(
        "There is no image {number}; that job has only one.",
        "There is no image {number}; that job has {count}.",
        len(job.singles),
        number=index + 1,
    )
    raise Refusal(notice, code="no_picture")


@dataclass(frozen=True, slots=True)
class Print:
    """What a picture is enlarged for: its part that is printed, and the paper."""

    blob: str  # of the part
    part: upscaling.Size
    size: upscaling.Size  # that it is printed in
    paper: str  # as the request keeps it


def derive(
    action: Action,
    parent: Job,
    seed: int,
    *,
    to: str = "",
    background: str = "",
    printed: Print | None = None,
) -> GenerationRequest:
    """Derive the request for a pressed button from its job's, with `seed` unless a picture is enlarged.

    Variations of an enlarged picture start from the picture that was enlarged, at its size. `to` is the size
    to upscale to, `background` what a cut-out is laid on, as they were typed. Raises Refusal.
    """
    request = parent.request
    if action.name == "again":
        return replace(request, seed=seed)
    if action.name == "full":
        same = request.alone(parent.singles[0].seed) if request.best > 1 and parent.singles else request
        return replace(same, draft=False)
    chosen = picture(parent, action.index or 0)
    size, blob = (chosen.width, chosen.height), chosen.unlettered
    if action.name in ("upscale", "upscale_creative"):
        creative = action.name == "upscale_creative"
        if printed:
            enlarged = request.enlarged(printed.blob, *printed.part, printed.size, creative=creative)
            return replace(enlarged, seed=chosen.seed, paper=printed.paper)
        target = upscaling.size_of(size, to, creative=creative)
        enlarged = request.enlarged(blob, *size, target, creative=creative)
        return replace(enlarged, seed=chosen.seed, paper="")
    if action.name == "cut_out":
        return replace(request.cut_out(blob, *size, background or TRANSPARENT), seed=chosen.seed)
    strength = STRENGTH[action.name]
    match request.task:
        case Upscale(source=source) | CreativeUpscale(source=source):
            before = replace(request.before_upscale(), count=DEFAULT_COUNT)
            return before.variation(source, seed, strength)
        case CutOut() | Letter():
            before = replace(request.before_upscale(), count=DEFAULT_COUNT)
            return before.variation(chosen.unlettered, seed, strength)
        case TextToImage() | ImageToImage() | Edit() | Blend() | Inpaint() | Outpaint():
            return request.variation(chosen.unlettered, seed, strength)
        case unknown:
            assert_never(unknown)
