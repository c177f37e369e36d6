"""What somebody types → a draft → a request, and back. `Draft` declares every option once."""

from bot.prompts.backgrounds import read_background
from bot.prompts.composing import (
    Source,
    check_range,
    choose_model,
    compose,
    fit,
    recall,
)
from bot.prompts.defaults import changed, held, with_defaults
from bot.prompts.draft import DEFAULT_COUNT, PARAMS, Draft
from bot.prompts.param import Param
from bot.prompts.parsing import clean, leading_link, left_out, parse
from bot.prompts.readers import read_style
from bot.prompts.rendering import flags, offer, render, said, with_options

__all__ = [
    "DEFAULT_COUNT",
    "PARAMS",
    "Draft",
    "Param",
    "Source",
    "changed",
    "check_range",
    "choose_model",
    "clean",
    "compose",
    "fit",
    "flags",
    "held",
    "leading_link",
    "left_out",
    "offer",
    "parse",
    "read_background",
    "read_style",
    "recall",
    "render",
    "said",
    "with_defaults",
    "with_options",
]
