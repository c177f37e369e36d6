"""The connection to Discord: what it listens to, and who answers."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import aiohttp
import discord
import structlog
from discord import app_commands

from bot import actions
from bot.adapters.discord import origins, vocabulary
from bot.adapters.discord.delivery import NOBODY
from bot.adapters.discord.desk import BROKEN, Desk, job_of, picture_of
from bot.adapters.discord.languages import Translator
from bot.card import Card
from bot.errors import Refusal
from bot.models import Origin
from bot.settings import Settings
from bot.studio import Receipt, Studio
from bot.words import translated

log = structlog.stdlib.get_logger(__name__)

MENU: tuple[tuple[str, actions.Name], ...] = (
    ("Variations", "vary_subtle"),
    ("Upscale", "upscale"),
    ("Info", "info"),
)
"""Entries of a message's menu, and the buttons that they stand for."""

HINT_SECONDS = 30.0  # that a hint stands in a channel
CLOSED = (
    "The answer is for you alone, and no direct message reaches you. Ask with /imagine: then only you see it."
)
HINT = "Say what to paint, for example: a red fox. Reply to a picture of mine to change it."


class EaselClient(discord.AutoShardedClient):
    """discord.py's client with Easel's commands. It needs no privileged intent.

    Of messages, Discord shows it those that mention it and its direct messages; that is all it reads.
    """

    def __init__(self, studio: Studio, settings: Settings) -> None:
        intents = discord.Intents(guilds=True, guild_messages=True, dm_messages=True)
        super().__init__(
            intents=intents,
            allowed_mentions=NOBODY,
            max_messages=None,
            chunk_guilds_at_startup=False,
            member_cache_flags=discord.MemberCacheFlags.none(),
            max_ratelimit_timeout=30.0,
        )
        self.was_ready = False  # at any time, which closing does not change
        self.desk = Desk(studio, settings)
        self.tree = app_commands.CommandTree(
            self, allowed_contexts=vocabulary.CONTEXTS, allowed_installs=vocabulary.INSTALLS
        )
        self.tree.error(self.desk.misunderstood)
        self._fill(self.tree)

    def _fill(self, tree: app_commands.CommandTree[Any]) -> None:
        for command in vocabulary.slash_commands(self.desk.command, self.desk.complete):
            tree.add_command(command)
        tree.add_command(vocabulary.menu("Use as source", self.desk.use_as_source))
        for label, name in MENU:
            tree.add_command(vocabulary.menu(label, partial(self.desk.on_job, name=name)))

    async def setup_hook(self) -> None:
        self.add_dynamic_items(Press)
        await self.tree.set_translator(Translator())
        try:
            await self.tree.sync()
        except discord.HTTPException as error:
            log.warning("the commands could not be registered with Discord", cause=str(error))

    async def on_ready(self) -> None:
        self.was_ready = True
        log.info("Discord is connected", servers=len(self.guilds), shards=self.shard_count)

    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        """Forms only: they are kept nowhere, so that a restart does not lose them."""
        if interaction.type is discord.InteractionType.modal_submit:
            await self.desk.submit(interaction)

    async def on_message(self, message: discord.Message) -> None:
        """Plain words: in a direct message, or where Easel is mentioned."""
        ordinary = message.type in (discord.MessageType.default, discord.MessageType.reply)
        if message.author.bot or not ordinary or self.user is None:
            return
        if message.guild is None or self.user in message.mentions:
            await self._heard(message)

    async def _heard(self, message: discord.Message) -> None:
        origin = origins.of_message(message)
        words = self._words(message)
        try:
            if not words or words.casefold() in ("help", "/help"):
                answer = await self._helped(words, origin)
            else:
                parent = _parent(message)
                options = {"prompt": words, **await self._source(message, parent)}
                answer = await self.desk.handle("imagine", options, origin, parent=parent)
        except Refusal as refusal:
            answer = self.desk.refused(refusal, origin)
        except Exception:
            log.exception("a message could not be answered", event_id=origin.event)
            answer = self.desk.refused(Refusal(BROKEN), origin)
        if isinstance(answer, Card):
            await self._say(message, answer)

    def _words(self, message: discord.Message) -> str:
        assert self.user
        return " ".join(re.sub(rf"<@!?{self.user.id}>", " ", message.content).split())

    async def _helped(self, words: str, origin: Origin) -> Card | Receipt:
        if words:
            return await self.desk.handle("help", {}, origin)
        return self.desk.said(Card(kind="text", body=(HINT,)), origin)

    async def _source(self, message: discord.Message, parent: str) -> dict[str, object]:
        """A picture that came with the words, or the one they reply to."""
        if attached := picture_of(message):
            return {"source": await self.desk.fetch(attached)}
        if parent:
            return {"source": f"{parent}:1"}
        found = picture_of(about) if (about := _about(message)) else None
        return {"source": await self.desk.fetch(found)} if found else {}

    async def _say(self, message: discord.Message, card: Card) -> None:
        """Answer words. What is for one person's eyes never stands in a server's channel."""
        try:
            if card.private and message.guild:
                await self._whisper(message, card)
            else:
                await message.reply(**await self._sendable(message, card))
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            log.warning("a message could not be answered", cause=type(error).__name__)

    async def _whisper(self, message: discord.Message, card: Card) -> None:
        """By a direct message. Where none arrives, a hint that gives nothing away stands for a moment."""
        try:
            await message.author.send(**await self._sendable(message, card))
        except discord.DiscordException as error:
            log.info("a hint in place of a direct message", cause=str(error))
            hint = translated(Card(kind="text", body=(CLOSED,)), card.language)
            await message.reply(delete_after=HINT_SECONDS, **await self._sendable(message, hint))

    async def _sendable(self, message: discord.Message, card: Card) -> dict[str, Any]:
        """The card for one send. Discord makes but one message of a nonce: an event may be told twice."""
        view, files = (await self.desk.shown(card, origins.limit_of(message))).message()
        nonce = f"{message.id}{'-dm' if card.private else ''}"
        return {
            "view": view,
            "files": files,
            "nonce": nonce,
            "mention_author": False,
            "allowed_mentions": NOBODY,
        }


def _about(message: discord.Message) -> discord.Message | None:
    """What it replies to, as far as it is still there."""
    about = message.reference.resolved if message.reference else None
    return about if isinstance(about, discord.Message) else None


def _parent(message: discord.Message) -> str:
    """The job whose picture it changes, or nothing."""
    about = None if picture_of(message) else _about(message)
    return job_of(about) if about else ""


class Press(discord.ui.DynamicItem[discord.ui.Button[Any]], template=re.compile(r".+", re.DOTALL)):
    """Any button of any card: its id is all there is to know. One that is not ours is told so."""

    @classmethod
    async def from_custom_id(
        cls,
        interaction: discord.Interaction[Any],
        item: discord.ui.Item[Any],
        match: re.Match[str],
    ) -> Press:
        assert isinstance(item, discord.ui.Button)
        return cls(item)

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        await interaction.client.desk.press(interaction, self.custom_id)
