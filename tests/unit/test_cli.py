from __future__ import annotations

import asyncio
import io
from dataclasses import replace

from rich.console import Console

from bot.adapters.cli import CommandLine
from bot.messages.types import Bar, Card
from bot.models import State
from tests.examples import a_job


async def test_the_bar_moves_on_a_terminal() -> None:
    screen = io.StringIO()
    surface = CommandLine(Console(force_terminal=True, width=100, file=screen))
    job = a_job()
    end = asyncio.create_task(surface.end_of(job.id, asyncio.Event()))
    await asyncio.sleep(0)
    half = Card(kind="painting", bar=Bar(done=0.5, label="step 10 of 20"), facts=("about 5 s left",))
    ref = await surface.post(job, half)
    rendered = replace(job, state=State.RENDERED)
    await surface.edit(rendered, ref, replace(half, bar=Bar(done=1.0, label="step 20 of 20")))

    assert await end == rendered
    assert "step 20 of 20 · about 5 s left" in screen.getvalue()


async def test_nothing_is_drawn_where_there_is_no_terminal() -> None:
    screen = io.StringIO()
    surface = CommandLine(Console(file=screen))
    job = replace(a_job(), state=State.FAILED)
    await surface.post(job, Card(kind="failed", bar=Bar(done=0.5, label="step")))

    assert await surface.end_of(job.id, asyncio.Event()) == job
    assert screen.getvalue() == ""
