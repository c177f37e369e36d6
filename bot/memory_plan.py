"""What each model takes of a card's memory, and what that costs, in one sentence a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.profiles import STREAM, Fitted, Held, extra
from engine.scheduling.residency import Pace, turns


@dataclass(frozen=True, slots=True)
class Bus:
    """The bytes a second that come from host memory to a card. `measured`: else they are assumed."""

    pace: float = Pace.ASSUMED
    measured: bool = False

    def __str__(self) -> str:
        return f"{self.pace / 1e9:.0f} GB/s from host memory, {'measured' if self.measured else 'assumed'}"


def sentence(name: str, sizes: Mapping[str, int], fit: Fitted, card: float, memory: float, bus: Bus) -> str:
    """Return what a model takes of a card with so many bytes, of which `memory` are for components."""
    told = f"{name}: {gigabytes(sum(sizes.values()))}"
    on = {part: held.size for part, held in fit.parts.items()}
    bytes_a_prompt, changing = turns(on, memory)
    large = sorted((part for part in changing if on[part] > memory / 20), key=lambda part: -on[part])
    also = [_held(part, held, bus) for part, held in fit.parts.items() if held.how]
    if large:
        named = " and ".join(f"its {part} ({gigabytes(on[part])})" for part in large)
        verb = "take" if len(large) > 1 else "takes"
        also.append(f"{named} {verb} turns; about +{bytes_a_prompt / bus.pace:.1f} s a prompt")
    if fit.missing:
        also.append(f"{extra(fit.missing)} would quantise more of it")
    if not also:
        return f"{told}, which fits on this {gigabytes(card)} card"
    return f"{told}, on this {gigabytes(card)} card {', '.join(also)}"


def _held(part: str, held: Held, bus: Bus) -> str:
    if held.how == STREAM:
        seconds = held.whole / bus.pace
        return f"its {part} ({gigabytes(held.whole)}) is streamed by blocks, at most +{seconds:.1f} s a pass"
    return f"its {part} is quantised ({held.how.partition(':')[0]}, {gigabytes(held.size)})"


def gigabytes(size: float) -> str:
    """Return bytes as people read them."""
    return f"{size / 1e9:.1f} GB" if size >= 5e7 else f"{size / 1e6:.0f} MB"
