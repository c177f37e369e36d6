"""The connection to Discord: what it listens to, and who answers."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import Any

import aiohttp
import discord
import structlog
from discord import app_commands

from bot import actions
from bot.adapters.discord import context, registration, slash_commands
from bot.adapters.discord.delivery import MISSING_ACCESS, NOBODY, UNKNOWN_SERVER
from bot.adapters.discord.handlers import NOT_SERVED, DiscordHandlers, job_of, pictures_of
from bot.adapters.discord.languages import Translator
from bot.adapters.discord.presence import Presence
from bot.adapters.discord.settings import DiscordSettings
from bot.adapters.reactions import Reaction, Reactions
from bot.easel import Easel
from bot.i18n import _
from bot.i18n.speech import nearest, say
from bot.models import Job

log = structlog.stdlib.get_logger(__name__)

MOST_USEFUL = 3  # actions on images that stand before Verify in a message's menu
_REMOVED = _("Easel was removed from this server.")
_CHANNEL_DELETED = _("The channel was deleted.")


class EaselClient(discord.AutoShardedClient):
    """discord.py's client with Easel's commands. It needs no privileged intent.

    Of messages, Discord shows it those that mention it and its direct messages; that is all it reads. Of
    reactions, it heeds those on its own messages.
    """

    def __init__(self, easel: Easel, settings: DiscordSettings) -> None:
        intents = discord.Intents(
            guilds=True, guild_messages=True, dm_messages=True, guild_reactions=True, dm_reactions=True
        )
        super().__init__(
            intents=intents,
            allowed_mentions=NOBODY,
            max_messages=None,
            chunk_guilds_at_startup=False,
            member_cache_flags=discord.MemberCacheFlags.none(),
            max_ratelimit_timeout=30.0,
        )
        self.was_ready = False  # at any time, which closing does not change
        self._easel = easel
        self.online = False  # events reach it now
        self.desk = DiscordHandlers(easel, settings)
        self._reactions = Reactions(easel, "discord")
        self._departures = easel.departures
        self._presence = Presence(easel.queries.state)
        self._folder = settings.data_dir
        self._registering: asyncio.Task[None] | None = None
        self.tree = app_commands.CommandTree(
            self, allowed_contexts=slash_commands.CONTEXTS, allowed_installs=slash_commands.INSTALLS
        )
        self.tree.error(self.desk.misunderstood)
        self._fill(self.tree)

    def _fill(self, tree: app_commands.CommandTree[Any]) -> None:
        known = self._easel.vocabulary.all
        for command in slash_commands.slash_commands(self.desk.slash, self.desk.complete, known):
            tree.add_command(command)
        pictures = any(each.name == "vary" for each in known)
        for name, act in self._menu(pictures=pictures)[: slash_commands.MOST_IN_MENU]:
            tree.add_command(slash_commands.menu(name, act))

    def _menu(self, *, pictures: bool) -> list[tuple[str, slash_commands.Menu]]:
        """Return the entries of a message's menu, the most useful first.

        What comes after Verify is shown where there is room. Info is last: it is on every card.
        """
        own = [
            (each.menu, partial(self.desk.chosen, name=each.name))
            for each in sorted(actions.MENU, key=lambda each: each.name == "info")
            if pictures or each.task != "image_to_image"
        ]
        source = [(_("Use as reference"), self.desk.source)] if pictures else []
        first, rest = own[:MOST_USEFUL], own[MOST_USEFUL:]
        return [*source, *first, (_("Verify"), self.desk.verified), *rest]

    async def setup_hook(self) -> None:
        self.add_dynamic_items(Press)
        await self.tree.set_translator(Translator())

    async def on_connect(self) -> None:
        if self._registering is None:
            work = registration.register(self.tree, self._folder)
            self._registering = asyncio.create_task(work, name="discord-commands")

    async def on_ready(self) -> None:
        self.was_ready = self.online = True
        log.info("Discord is connected", servers=len(self.guilds), shards=self.shard_count)
        self._presence.begin(self)
        await self._left_meanwhile()
        for guild in self.guilds:
            await self._leave_unless_served(guild)

    async def close(self) -> None:
        self._presence.end()
        if self._registering:
            self._registering.cancel()
        await self._reactions.close()
        await super().close()

    # ---- what is taken away

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        await self._departures.deleted("discord", messages=[f"{event.channel_id}:{event.message_id}"])

    async def on_raw_bulk_message_delete(self, event: discord.RawBulkMessageDeleteEvent) -> None:
        messages = [f"{event.channel_id}:{id}" for id in event.message_ids]
        await self._departures.deleted("discord", messages=messages)

    async def on_guild_channel_delete(self, channel: discord.abc.GuildChannel) -> None:
        await self._closed(channel.guild.id, channel.id)

    async def on_raw_thread_delete(self, event: discord.RawThreadDeleteEvent) -> None:
        await self._closed(event.guild_id, event.thread_id)

    async def on_guild_join(self, guild: discord.Guild) -> None:
        await self._leave_unless_served(guild)

    async def _leave_unless_served(self, guild: discord.Guild) -> None:
        """Leave a server that may not use Easel, and say why where the server shows such messages."""
        if self.desk.serves(guild.id):
            return
        log.info("a server that is not served was left", server=guild.id)
        try:
            if guild.system_channel:
                words = say(NOT_SERVED, nearest(str(guild.preferred_locale)) or "en")
                await guild.system_channel.send(words)
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            log.info("a server was left without a word", cause=type(error).__name__)
        await guild.leave()

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """Cancel a server's jobs when Easel is removed from it; an outage of Discord's is another event."""
        await self._left(f"discord:{guild.id}")

    async def _closed(self, guild: int, channel: int) -> None:
        """Hide a deleted channel's or thread's pictures from all but their owners, and cancel its jobs."""
        tenant, here = f"discord:{guild}", str(channel)

        def there(job: Job) -> bool:
            return here in (job.origin.channel, str(job.origin.reply.get("channel")))

        await self._departures.deleted("discord", tenant=tenant, channel=here)
        await self._departures.left("discord", _CHANNEL_DELETED, tenant=tenant, which=there)

    async def _left(self, tenant: str) -> None:
        await self._departures.deleted("discord", tenant=tenant)
        await self._departures.left("discord", _REMOVED, tenant=tenant, which=context.needs_us)

    async def _left_meanwhile(self) -> None:
        """Cancel the jobs of servers that removed Easel while it was not connected."""
        known = {f"discord:{guild.id}" for guild in self.guilds}
        for tenant in await self._departures.tenants("discord", context.needs_us) - known:
            server = tenant.removeprefix("discord:")
            if server.isdecimal() and await self._is_gone(int(server)):
                await self._left(tenant)

    async def _is_gone(self, server: int) -> bool:
        """Tell whether Discord says that Easel is not in a server; False where it does not answer."""
        try:
            await self.fetch_guild(server, with_counts=False)
        except discord.HTTPException as error:
            return error.code in (UNKNOWN_SERVER, MISSING_ACCESS)
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            log.info("a server is not known", cause=type(error).__name__)
        return False

    async def on_resumed(self) -> None:
        self.online = True

    async def on_disconnect(self) -> None:
        self.online = False

    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        """Answer forms, and nothing else; they are not kept in memory, so a restart does not lose them."""
        if interaction.type is discord.InteractionType.modal_submit:
            await self.desk.sent(interaction)

    async def on_message(self, message: discord.Message) -> None:
        """Answer plain words in a direct message, or where Easel is mentioned."""
        ordinary = message.type in (discord.MessageType.default, discord.MessageType.reply)
        if message.author.bot or not ordinary or self.user is None:
            return
        if message.guild is None or self.user in message.mentions:
            await self._heard(message)

    async def on_raw_reaction_add(self, event: discord.RawReactionActionEvent) -> None:
        self._reacted(event, added=True)

    async def on_raw_reaction_remove(self, event: discord.RawReactionActionEvent) -> None:
        self._reacted(event, added=False)

    def _reacted(self, event: discord.RawReactionActionEvent, *, added: bool) -> None:
        """Heed a person's reaction on a message of ours, whether or not the message is known."""
        assert self.user
        others = event.message_author_id not in (None, self.user.id)  # it is not told of one that was removed
        by_bot = event.user_id == self.user.id or bool(event.member and event.member.bot)
        if others or by_bot or not event.emoji.is_unicode_emoji():
            return
        reaction = Reaction(
            emoji=event.emoji.name,
            person=f"discord:{event.user_id}",
            message=f"{event.channel_id}:{event.message_id}",
            added=added,
        )
        self._reactions.heard(
            reaction, lambda job, ask: self.desk.answer(context.Reacted(self, event, job), ask)
        )

    async def _heard(self, message: discord.Message) -> None:
        """Answer words, with a picture that came with them or that they reply to."""
        addressed = self._is_addressed(message)
        if not addressed and any(each != self.user for each in message.mentions):
            return  # it replies to a picture, and speaks to somebody else
        parent, about = _parent(message), _about(message)
        sent = pictures_of(message) or (pictures_of(about) if about and not parent else [])
        await self.desk.words(message, self._words(message), sent, parent, addressed=addressed)

    def _is_addressed(self, message: discord.Message) -> bool:
        """Tell whether it is said to Easel: a reply mentions whom it replies to, whoever it is meant for."""
        assert self.user
        return message.guild is None or bool(re.search(rf"<@!?{self.user.id}>", message.content))

    def _words(self, message: discord.Message) -> str:
        assert self.user
        return " ".join(re.sub(rf"<@!?{self.user.id}>", " ", message.content).split())


def _about(message: discord.Message) -> discord.Message | None:
    """Return the message that this one replies to, or None where it is gone or not known."""
    about = message.reference.resolved if message.reference else None
    return about if isinstance(about, discord.Message) else None


def _parent(message: discord.Message) -> str:
    """Return the job whose picture the message asks to change, or an empty text."""
    about = None if pictures_of(message) else _about(message)
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
