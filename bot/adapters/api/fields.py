"""The fields of a request: OpenAI's, and Easel's own, which are the options of /imagine as declared there."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from bot.adapters.api.errors import ApiError
from bot.i18n import _
from bot.options import Option, Unusable, Value, clip, read_value
from bot.prompts import PARAMS, clean, permutations
from bot.prompts.draft import MAX_PROMPT
from bot.prompts.param import Param
from bot.provenance.signing import MediaType
from engine.types import TRANSPARENT

Format = Literal["png", "jpeg", "webp"]
MEDIA: Mapping[Format, MediaType] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
MOST = 10  # images of one request
MOST_PARTIAL = 3
MOST_USER = 64  # characters of `user` that are kept

MODEL = Option(
    name="model",
    kind="text",
    help="One of /v1/models. OpenAI's own names, which some programs always send, stand for the first.",
    maximum=200,
)
OPENAI: tuple[Option, ...] = (
    Option(
        name="prompt",
        kind="text",
        help="What to see. Flags such as --ar 16:9 mean what they mean in chat.",
        required=True,
        maximum=MAX_PROMPT,
    ),
    MODEL,
    Option(name="n", kind="integer", help="How many images.", minimum=1, maximum=MOST, default="1"),
    Option(
        name="size",
        kind="text",
        help="Width x height in pixels, within what the model paints; auto is the model's own.",
        maximum=40,
        default="auto",
    ),
    Option(
        name="response_format",
        kind="text",
        help="The images themselves, or addresses that show them for an hour.",
        choices=("b64_json", "url"),
        default="b64_json",
    ),
    Option(
        name="output_format",
        kind="text",
        help="The format of the images.",
        choices=("png", "jpeg", "webp"),
        default="png",
    ),
    Option(
        name="output_compression",
        kind="integer",
        help="The quality of JPEG and WebP in percent.",
        minimum=0,
        maximum=100,
        default="100",
    ),
    Option(
        name="stream",
        kind="boolean",
        help="Answer by server-sent events; comments between them keep the line open.",
        default="false",
    ),
    Option(
        name="partial_images",
        kind="integer",
        help="How many previews a stream sends, as far as the model makes so many.",
        minimum=0,
        maximum=MOST_PARTIAL,
        default="0",
    ),
    Option(name="user", kind="text", help="Whoever asked your program; kept with the job.", maximum=1000),
)
WITHOUT_EFFECT: tuple[Option, ...] = (
    Option(
        name="quality",
        kind="text",
        help="Taken, and without effect: say steps.",
        choices=("auto", "low", "medium", "high", "standard", "hd"),
        default="auto",
    ),
    Option(
        name="moderation",
        kind="text",
        help="Taken, and without effect: the place's rules hold.",
        choices=("auto", "low"),
        default="auto",
    ),
    Option(
        name="input_fidelity",
        kind="text",
        help="Taken, and without effect: say strength.",
        choices=("low", "high"),
    ),
)
EASEL: tuple[Option, ...] = (
    Option(
        name="priority",
        kind="text",
        help="relax is the same as relax: true.",
        choices=("fast", "relax"),
        default="fast",
    ),
    Option(
        name="if_disconnected",
        kind="text",
        help="What becomes of the job when you close the connection before it ends.",
        choices=("finish", "cancel"),
        default="finish",
    ),
    Option(
        name="webhook",
        kind="text",
        help="Your address that is told of the job's end, by a signed POST that is tried for a day.",
        maximum=2000,
    ),
)
CARRIED = ("prompt", "model", "size", "count", "repeat", "format", "quality")
"""Options of /imagine that OpenAI's fields carry, or that ask for several jobs."""
ALSO = {"num_inference_steps": "steps", "guidance_scale": "guidance"}
"""What other servers of this API call an option."""
_OPENAI_WORDS = {"style": ("vivid", "natural"), "background": ("auto", "opaque")}
_OPENAI_MODELS = re.compile(r"(?:gpt-image|chatgpt-image|dall-e)-[\w.-]+", re.ASCII)


def spelled(param: Param) -> str:
    """Return the name of an option in the API: that of the request's field, where there is one."""
    return param.field or param.name


EXTENSIONS: Mapping[str, Param] = {
    spelled(each): each for each in PARAMS.values() if each.name not in CARRIED
}
"""Easel's own fields that are options of /imagine."""
_PARAMS: Mapping[str, Param] = {
    **EXTENSIONS,
    **{each.name: each for each in EXTENSIONS.values()},
    **{name: PARAMS[option] for name, option in ALSO.items()},
}
_KNOWN: Mapping[str, Option] = {each.name: each for each in (*OPENAI, *WITHOUT_EFFECT, *EASEL)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a request asks for."""

    options: dict[str, Any]  # of /imagine
    stream: bool
    partial_images: int
    by_url: bool
    format: Format
    quality: int  # percent
    user: str
    webhook: str  # an address, or empty
    cancels: bool  # the job ends when the program goes away
    ignored: tuple[str, ...]  # fields without an effect
    digest: str  # of all that was sent


def read(
    values: Mapping[str, Any],
    pictures: Sequence[bytes],
    mask: bytes = b"",
    *,
    edits: bool | None,
    relaxed: bool,
) -> Wanted:
    """Read a request's fields.

    `edits`: it starts from an image, or None where it may; `relaxed`: its key asks for no others.

    Raises ApiError.
    """
    said = {name: value for name, value in values.items() if value is not None and value != ""}
    taken = {name: _value(option, said[name]) for name, option in _KNOWN.items() if name in said}
    _check(said, taken, pictures, mask, edits=edits)
    options = _options(said, taken, pictures)
    resized = ""
    if mask:  # the result has the size of the image
        options["mask"] = mask
        resized = "size" if options.pop("size", "") else ""
    elif edits and "edit" not in said and "strength" not in said:
        options["edit"] = True
    if relaxed or taken.get("priority") == "relax":
        options["relax"] = True
    return Wanted(
        options=options,
        stream=bool(taken.get("stream", False)),
        partial_images=int(taken.get("partial_images", 0)),
        by_url=taken.get("response_format") == "url",
        format=cast(Format, taken.get("output_format", "png")),
        quality=int(taken.get("output_compression", 100)),
        user=clean(str(taken.get("user", "")))[:MOST_USER],
        webhook=str(taken.get("webhook", "")).strip(),
        cancels=taken.get("if_disconnected") == "cancel",
        ignored=tuple(clip(clean(name)) for name in said if name == resized or _is_ignored(name, said[name])),
        digest=_digest(values, [*pictures, mask] if mask else pictures),
    )


def _value(option: Option, value: object) -> Value:
    try:
        return read_value(option, value)
    except Unusable as error:
        raise ApiError(400, error.notice, code="invalid_value", param=option.name) from error


def _check(
    said: Mapping[str, Any],
    taken: Mapping[str, Value],
    pictures: Sequence[bytes],
    mask: bytes,
    *,
    edits: bool | None,
) -> None:
    """Raise ApiError for what is missing, or cannot be done here."""
    if not str(taken.get("prompt", "")).strip():
        raise ApiError(
            400, _("There is no prompt. Say what the image shows."), code="missing", param="prompt"
        )
    if edits and not (pictures or "source" in said):
        raise ApiError(400, _("There is no image to edit. Send one."), code="missing", param="image")
    if pictures and edits is False:
        text = _("Send an image to start from to /v1/images/edits.")
        raise ApiError(400, text, param="image")
    if mask and len(pictures) != 1:
        raise ApiError(400, _("A mask goes with one image. Send that image and its mask."), param="mask")
    jpeg = taken.get("output_format") == "jpeg"
    if jpeg and str(said.get("background", "")).strip().casefold() == TRANSPARENT:
        text = _("JPEG knows no transparency. Choose the output_format png or webp.")
        raise ApiError(400, text, code="unsupported", param="output_format")


def _options(
    said: Mapping[str, Any], taken: Mapping[str, Value], pictures: Sequence[bytes]
) -> dict[str, Any]:
    """Return the options of /imagine that the fields say: braces are words, and only the person sees it."""
    options: dict[str, Any] = {"private": True}
    for name, param in _PARAMS.items():
        if name in said and not _is_openai_word(name, said[name]):
            options[param.name] = _plain(name, param, said[name])
    if pictures:
        options["source"], *more = pictures
        options |= {"files": {"images": more}} if more else {}
    options |= {"prompt": permutations.kept(str(taken["prompt"])), "count": taken.get("n", 1)}
    if (size := str(taken.get("size", "auto")).strip().casefold()) != "auto":
        options["size"] = size
    if (model := str(taken.get("model", ""))) and not _OPENAI_MODELS.fullmatch(model):
        options["model"] = model
    return options


def _plain(name: str, param: Param, value: object) -> Value:
    """Return the value of an option that /imagine reads. Raises ApiError for an array or object."""
    if param.several and isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    of_text = param.kind in ("text", "picture")
    if isinstance(value, str) or (isinstance(value, bool | int | float) and not of_text):
        return value
    text, one = _("{option} takes text.", option=name), _("{option} takes one value.", option=name)
    raise ApiError(400, text if of_text else one, code="invalid_value", param=name)


def _is_openai_word(name: str, value: object) -> bool:
    """Tell whether a value means what is done anyway, in words of OpenAI's that Easel has not."""
    return value in _OPENAI_WORDS.get(name, ())


def _is_ignored(name: str, value: object) -> bool:
    if name in _PARAMS:
        return name == "style" and _is_openai_word(name, value)
    return name not in _KNOWN or (any(name == each.name for each in WITHOUT_EFFECT) and value != "auto")


def _digest(values: Mapping[str, Any], pictures: Sequence[bytes]) -> str:
    """Return what tells one request from another under the same Idempotency-Key."""
    text = json.dumps(values, sort_keys=True)
    digests = (hashlib.sha256(each).digest() for each in pictures or (b"",))
    return hashlib.sha256(text.encode() + b"".join(digests)).hexdigest()
