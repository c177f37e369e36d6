"""Pictures before they are shown: a classifier in a process of its own, and what its scores mean."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bot.i18n import _
from bot.images.picture_process import PictureProcess, Unanswered, framed
from bot.moderation.terms import Strictness
from bot.moderation.text import ModerationRules
from engine.errors import EngineError

LOOKER = Path(__file__).with_name("classifier_process.py")
WEIGHTS = Path(__file__).with_name("mobilenet.safetensors")
PATIENCE = 60.0  # seconds for one picture, on a busy machine


class Withheld(EngineError):
    """The picture is not shown."""

    advice = _("An image came out in a way that is not shown here. Try other words or another seed.")


class NotSeen(Withheld):
    """The picture could not be looked at."""

    advice = _("The images could not be checked, so they are not shown. Try again in a minute.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Probabilities from 0 to 1."""

    explicit: float = 0.0
    suggestive: float = 0.0

    @property
    def harmless(self) -> bool:
        """Whether nothing forbids it, whatever the rules."""
        strict = _LIMITS["strict"]
        return self.explicit < strict.explicit and self.explicit + self.suggestive < strict.either


class ImageClassifier(Protocol):
    """Looks at pictures."""

    @property
    def busy(self) -> bool:
        """Whether somebody's picture is being looked at."""
        ...

    async def look(self, picture: bytes) -> Scores:
        """Return the scores of what a PNG or WebP shows. Raises NotSeen."""
        ...

    async def close(self) -> None: ...


class NullClassifier:
    """Passes every picture: PICTURE_CHECK=off, and tests about something else."""

    busy = False

    async def look(self, picture: bytes) -> Scores:
        return Scores()

    async def close(self) -> None:
        """Do nothing, as nothing is open."""


class MobileNetClassifier(PictureProcess):
    """One process, which sees no settings."""

    def __init__(self, weights: Path = WEIGHTS, patience: float = PATIENCE) -> None:
        super().__init__(_command(weights), patience)

    async def look(self, picture: bytes) -> Scores:
        try:
            return await self.asked(picture, _seen)
        except Unanswered as error:
            raise NotSeen(str(error)) from error


def look_once(picture: bytes, weights: Path = WEIGHTS) -> Scores:
    """Return what a picture shows. Needs no event loop, but a process of its own. Blocks; raises NotSeen."""
    try:
        done = subprocess.run(
            _command(weights), input=framed(picture), capture_output=True, timeout=PATIENCE, env={}
        )
        return _seen(done.stdout)
    except (OSError, ValueError, KeyError, TypeError, subprocess.TimeoutExpired) as error:
        raise NotSeen(repr(error)) from error


def _command(weights: Path) -> tuple[str, ...]:
    return (sys.executable, "-I", str(LOOKER), str(weights))


def _seen(answer: bytes) -> Scores:
    scores = json.loads(answer)
    seen = Scores(explicit=scores["porn"] + scores["hentai"], suggestive=scores["sexy"])
    if not (0 <= seen.explicit <= 1.001 and 0 <= seen.suggestive <= 1.001):
        raise ValueError(f"scores out of range: {scores}")
    return seen


# ---- what it means


@dataclass(frozen=True, slots=True)
class _Limits:
    explicit: float
    either: float  # explicit and suggestive together


_LIMITS: dict[Strictness, _Limits] = {
    "relaxed": _Limits(0.85, 2.0),
    "standard": _Limits(0.7, 0.9),
    "strict": _Limits(0.5, 0.6),
}


@dataclass(frozen=True, slots=True)
class Rating:
    """`adult`: it is for age-restricted channels alone. `shown`: it may be shown where it was asked for."""

    adult: bool
    shown: bool


def rate(seen: Scores, rules: ModerationRules, *, minors: bool) -> Rating:
    """Decide whether a picture may be shown. Where the words mention minors, nothing sexual is ever shown."""
    limits = _LIMITS["strict" if minors else rules.strictness]
    adult = seen.explicit >= limits.explicit or seen.explicit + seen.suggestive >= limits.either
    allowed = rules.adult and rules.strictness != "strict" and not minors
    return Rating(adult=adult, shown=allowed or not adult)
