"""Makes Easel's commands known to Discord: only what changed, and never before the bot is connected.

Discord lets an application write its commands a few times only, and then refuses for up to hours. So the hash
of what was written last is kept in the data folder, and what is refused is tried again in the background.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import aiohttp
import discord
import structlog
from discord import app_commands

log = structlog.stdlib.get_logger(__name__)

SHORTEST_DELAY, LONGEST_DELAY = 30.0, 3600.0  # seconds between two attempts, unless Discord names more
FILE = "discord-commands.sha256"


async def register(tree: app_commands.CommandTree[Any], folder: Path) -> None:
    """Write the commands unless Discord has them; return once it has.

    Deleting the file in the data folder writes them at the next start.
    """
    delay = SHORTEST_DELAY
    while True:
        try:
            digest = await _digest(tree)
            if _kept(folder) == digest:
                log.info("Discord knows the commands already")
                return
            await tree.sync()
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            pause = max(delay, error.retry_after) if isinstance(error, discord.RateLimited) else delay
            log.warning(
                "the commands could not be registered with Discord; what it knows of them still works",
                cause=_cause(error),
                again_in=round(pause),
            )
        else:
            _keep(folder, digest)
            log.info("the commands are registered with Discord")
            return
        await asyncio.sleep(pause)
        delay = min(LONGEST_DELAY, 2 * delay)


async def _digest(tree: app_commands.CommandTree[Any]) -> str:
    """Return the SHA-256 of the commands that would be registered, with this application's id."""
    commands = tree._get_all_commands(guild=None)
    assert tree.translator
    payload = [await each.get_translated_payload(tree, tree.translator) for each in commands]
    text = json.dumps([tree.client.application_id, payload], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _kept(folder: Path) -> str:
    try:
        return (folder / FILE).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _keep(folder: Path, digest: str) -> None:
    try:
        (folder / FILE).write_text(f"{digest}\n", encoding="ascii")
    except OSError as error:
        log.warning("the next start registers the commands again", cause=str(error))


def _cause(error: Exception) -> str:
    """Describe an error for the log; without Discord's address, which may hold a token."""
    return str(error) if isinstance(error, discord.DiscordException) else type(error).__name__
