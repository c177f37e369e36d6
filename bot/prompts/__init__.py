"""What somebody types → a draft → a request, and back. `Draft` declares every option once."""

from bot.prompts.backgrounds import read_background
from bot.prompts.composing import (
    check_range,
    choose_model,
    compose,
    fit,
    model_for,
    recall,
    takes_as_it_is,
)
from bot.prompts.defaults import changed, held, with_defaults
from bot.prompts.draft import DEFAULT_COUNT, PARAMS, Draft
from bot.prompts.param import Param
from bot.prompts.parsing import clean, leading_link, left_out, parse
from bot.prompts.readers import read_style
from bot.prompts.references import Given, Source
from bot.prompts.rendering import flags, offer, render, said, with_options

__all__ = [
    "DEFAULT_COUNT",
    "PARAMS",
    "Draft",
    "Given",
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
    "model_for",
    "offer",
    "parse",
    "read_background",
    "read_style",
    "recall",
    "render",
    "said",
    "takes_as_it_is",
    "with_defaults",
    "with_options",
]
