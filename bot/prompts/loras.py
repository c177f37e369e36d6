"""LoRAs in a prompt as people write them elsewhere, and whether the model takes those that were named."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.errors import Refusal
from bot.i18n import _, listing
from bot.options import clip, suggest
from bot.prompts.draft import Draft
from bot.prompts.rendering import offer
from engine.types import LoraWeight, ModelInfo

_TAG = re.compile(
    r"<lora:(?P<name>[^<>:,]{1,100}):(?P<weight>[^<>:,]{1,10})(?::[^<>]{0,40})?>", re.IGNORECASE
)


def taken_out(text: str) -> tuple[str, list[str]]:
    """Return a text without `<lora:name:0.8>`, and what these say: `name:0.8`."""
    found = [f"{tag['name']}:{tag['weight']}" for tag in _TAG.finditer(text)]
    return (_TAG.sub(" ", text), found) if found else (text, [])


def check(wanted: Sequence[LoraWeight], said: Draft, model: ModelInfo, models: Sequence[ModelInfo]) -> None:
    """Raise Refusal for the first LoRA that the model does not take, with an offer of what would do."""
    known = [each.name for each in model.loras]
    wrong = next((each for each in wanted if each.name not in known), None)
    if wrong is None:
        return
    left = tuple(each for each in wanted if each is not wrong)
    without = offer(_("Leave it out"), said, loras=left or None)
    if others := [each.name for each in models if wrong.name in [lora.name for lora in each.loras]]:
        sentence = _(
            "The LoRA {name} is not for {model}, but for {models}.",
            name=clip(wrong.name),
            model=model.name,
            models=listing(others),
        )
        instead = offer(_("Use {model}", model=clip(others[0], 28)), said, model=others[0])
        raise Refusal(sentence, code="loras", offers=(instead, without))
    near = suggest(wrong.name, [name for name in known if name not in [each.name for each in left]])
    nearest = (*left, LoraWeight(near, wrong.weight))
    likely = [offer(_("Use {model}", model=clip(near, 28)), said, loras=nearest)] if near else []
    raise Refusal(_unknown(wrong.name, known, model.name), code="loras", offers=(*likely, without))


def _unknown(name: str, known: Sequence[str], model: str) -> str:
    if not known:
        return _("{model} takes no LoRAs here. Leave them out.", model=model)
    return _(
        "There is no LoRA {name} that you can use with {model}. There is: {names}.",
        name=clip(name),
        model=model,
        names=clip(", ".join(known), 200),
    )
