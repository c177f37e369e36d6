"""Other words on the same pictures, without painting them again."""

from __future__ import annotations

from dataclasses import replace

from bot.models import Job, State
from engine.types import GenerationRequest, Letter, TextToImage


def reworded(job: Job | None, request: GenerationRequest) -> GenerationRequest:
    """Return what an answered form asks for: a request that only sets type, if nothing else changed."""
    if job is None or job.state is not State.RENDERED:
        return request
    before = job.request
    if len(job.singles) != (1 if before.best > 1 else before.delivered):
        return request
    if isinstance(before.task, Letter):
        before = replace(before, task=TextToImage())
    with_words = replace(
        before,
        lettering=request.lettering,
        lettering_place=request.lettering_place,
        lettering_style=request.lettering_style,
        file_format=request.file_format,
        file_quality=request.file_quality,
    )
    if with_words != request or before == request:
        return request
    same = request.alone(job.singles[0].seed) if request.best > 1 else request
    painted = job.singles[: same.count]  # its other sizes are made of it
    return replace(same, task=Letter(sources=tuple(each.unlettered for each in painted)))
