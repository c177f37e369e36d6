"""What Discord shows beside Easel's name: the model, and how long the queue is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
import discord
import structlog

log = structlog.stdlib.get_logger(__name__)

PAUSE = 20.0  # seconds between two looks; a connection may send 120 things a minute


class Presence:
    """Shows `words` while the client is connected; sends them only when they have changed."""

    def __init__(self, words: Callable[[], str]) -> None:
        self._words = words
        self._task: asyncio.Task[None] | None = None

    def begin(self, client: discord.Client) -> None:
        """Show them from now on; a new session has forgotten what was shown before."""
        self.end()
        self._task = asyncio.create_task(self._show(client), name="discord-presence")

    def end(self) -> None:
        if self._task:
            self._task.cancel()
        self._task = None

    async def _show(self, client: discord.Client) -> None:
        shown = ""
        while True:
            words = str(self._words())
            if words != shown:
                try:
                    await client.change_presence(activity=discord.CustomActivity(name=words))
                    shown = words
                except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
                    log.info("the presence was not shown", cause=type(error).__name__)
            await asyncio.sleep(PAUSE)
