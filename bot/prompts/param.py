"""What is declared of one option of /imagine: how it is typed, limited, put into the request and shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from bot.i18n import _
from bot.models import Job, Tier
from bot.options import Option, as_text
from bot.prompts.styles import Presets
from engine.types import GenerationRequest, ModelInfo


def first_word(text: str) -> int:
    """Return where the first word ends."""
    return len(text) - len(text.lstrip()) + len(text.split(maxsplit=1)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """Plain words at an end of a prompt that say an option."""

    patterns: Callable[[Presets], Sequence[str]]
    """Regular expressions for them; the group `value` is the word that `value` reads."""
    value: Callable[[re.Match[str]], Any]
    """Return the option's value; None where the words belong to the picture."""
    instead: Callable[[re.Match[str]], str] = lambda _: ""
    """Return what takes the place of the words; the group `kept` stays in any case."""
    stays: frozenset[str] = frozenset()
    """Words that stay in the prompt where nothing follows them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """How a small field of the web studio's composer shows an option."""

    label: str
    empty: str  # what stands there when nothing is said
    yes: str = _("yes")  # what stands there when a yes-or-no option is on
    listed: bool = False  # a number that is chosen from a list
    more: bool = True  # shown on demand
    rank: int = 1  # the least stands first


@dataclass(frozen=True, slots=True, kw_only=True)
class Param(Option):
    """An option of /imagine. Everything that knows options reads them from here."""

    name: str = ""  # that of its field in `Draft`

    reader: Callable[[str], Any] = str
    """Return the draft's value of a text. Raises Unusable."""
    extent: Callable[[str], int] = first_word
    """Return how many characters after its flag are its value."""
    plain: Plain | None = None

    known_to: Callable[[ModelInfo], bool | tuple[str, ...]] | None = None
    """Whether a model takes it, or the values that it takes. None: all models take all values."""
    unknown: Callable[[str], str] | None = None
    """What is said to somebody whose model, of this name, does not take it."""
    offered_by: Callable[[Tier], bool] | None = None
    """Whether a tier leaves anything to choose. None: all do."""
    decided_by: Callable[[Tier], Any] | None = None
    """What a tier decides, whatever is said; None: it leaves the choice."""
    model_most: Callable[[ModelInfo], int] | None = None
    tier_most: Callable[[Tier], int] | None = None
    too_many: Callable[[int, int, ModelInfo, Tier], str] | None = None
    """What is said of a value that is out of the range up to the most that model and tier allow."""
    fitted: Callable[[str], str] = lambda _: ""
    """What is said when an old job's value does not fit any more, and this one does."""

    field: str = ""
    """The request's field that takes the value as it is. `compose` puts the others into the request."""
    usual: Callable[[ModelInfo], Any] = lambda _: None
    """What the field takes when nothing is said."""
    of_model: bool = False
    """Whether `usual` is the model's own: then it need not be said, and another model has another."""
    fact: Callable[[Job], str] | None = None
    """Return its line in a job's info. None: its name and the field's value."""
    chip: Chip | None = None

    @property
    def ranged(self) -> bool:
        """Return whether its range is that of a model or a tier."""
        return bool(self.model_most or self.tier_most)

    def is_offered(self, tiers: Sequence[Tier]) -> bool:
        """Return whether any of the tiers leaves something to choose."""
        return self.offered_by is None or any(map(self.offered_by, tiers))

    def most(self, models: Sequence[ModelInfo], tiers: Sequence[Tier]) -> int:
        """Return the highest value that any of them allow."""
        bounds = [int(self.maximum or 0)]
        if self.model_most and models:
            bounds.append(max(map(self.model_most, models)))
        if self.tier_most:
            bounds.append(max(map(self.tier_most, tiers)))
        return min(bounds)

    def narrowed(self, models: Sequence[ModelInfo], tiers: Sequence[Tier]) -> Self | None:
        """Return it as it is for people with these models and tiers; None where nobody can use it."""
        known = [self.known_to(each) for each in models] if self.known_to else [True]
        if not any(known) or not self.is_offered(tiers):
            return None
        names = [name for each in known if not isinstance(each, bool) for name in each]
        named = names and not self.several
        option = replace(self, choices=tuple(dict.fromkeys(names))) if named else self
        return option._ranged(self.most(models, tiers)) if self.ranged else option

    def _ranged(self, most: int) -> Self:
        def within(text: str) -> str:
            return str(min(int(text), most)) if text.isdecimal() else text

        return replace(self, maximum=most, example=within(self.example), default=within(self.default))

    def takes(self, value: Any, model: ModelInfo) -> bool:
        """Return whether the model takes the value."""
        known = self.known_to(model) if self.known_to else True
        if isinstance(known, bool):
            return known
        return all(each.name in known for each in value) if self.several else value in known

    def value(self, said: Any, model: ModelInfo, tier: Tier) -> Any:
        """Return what the request takes: what the tier decides, what was said, or what is usual."""
        if self.decided_by and (decided := self.decided_by(tier)) is not None:
            return decided
        if said not in ("", None):
            return said
        usual = self.usual(model)
        return min(usual, self.most([model], [tier])) if self.ranged else usual

    def fit(self, request: GenerationRequest, model: ModelInfo, tier: Tier) -> Any:
        """Return the nearest to the request's value that model and tier allow."""
        value = getattr(request, self.field)
        if self.decided_by and (decided := self.decided_by(tier)) is not None:
            return decided
        if self.several:
            return tuple(each for each in value if self.takes((each,), model))
        if not self.takes(value, model):
            return self.usual(model)
        return min(value, self.most([model], [tier])) if self.ranged else value

    def told(self, job: Job) -> str:
        """Return its line in a job's info; empty where there is nothing to say."""
        if self.fact:
            return self.fact(job)
        value = getattr(job.request, self.field) if self.field and job.request.paints else ""
        return _("{option}: {value}", option=self.title, value=shown(value)) if value != "" else ""

    def note(self, request: GenerationRequest) -> Mapping[str, str]:
        """Return what a picture's file says of it to programs."""
        value = getattr(request, self.field) if self.field and (self.of_model or self.several) else ""
        return {self.field: shown(value)} if value not in ("", ()) else {}


def shown(value: Any) -> str:
    """Return a value as people read it."""
    return f"{value:g}" if isinstance(value, float) else as_text(value)
