"""Discord as one more surface: keeps the connection up and brings the jobs' messages to it."""

from __future__ import annotations

import asyncio
import logging

import discord
import structlog

from bot.adapters.base import MessageRef
from bot.adapters.discord.client import EaselClient
from bot.adapters.discord.delivery import DiscordDelivery
from bot.adapters.discord.settings import DiscordSettings
from bot.easel import Easel
from bot.errors import TryLater
from bot.messages.types import Card
from bot.models import Job

log = structlog.stdlib.get_logger(__name__)

SHORTEST_DELAY, LONGEST_DELAY = 5.0, 300.0  # seconds between two attempts to connect
AUTHENTICATION_FAILED = 4004  # https://discord.com/developers/docs/topics/opcodes-and-status-codes

_REFUSED = (
    "Discord does not accept DISCORD_TOKEN: copy it again from the application's Bot page and restart. "
    "Everything else goes on."
)


class DiscordAdapter:
    """A bot user in servers, direct messages and wherever people installed it. Implements ChatAdapter."""

    name = "discord"
    edit_interval = 2.0  # seconds; five edits in five seconds is what a channel allows to all of them

    def __init__(self, easel: Easel, settings: DiscordSettings) -> None:
        self._easel = easel
        easel.speech.draws_marks(self.name)
        self._settings = settings
        self._delivery: DiscordDelivery | None = None
        self._client: EaselClient | None = None

    @property
    def connected(self) -> bool:
        """Tell whether events reach Easel now."""
        client = self._client
        return client is not None and client.online and not client.is_closed()

    async def run(self) -> None:
        """Stay connected until cancelled; return when Discord refuses the token."""
        _hush()
        delay = SHORTEST_DELAY
        while True:
            client = self.client()
            try:
                async with client:
                    await client.start(self._settings.discord_token.reveal())
            except discord.LoginFailure:
                log.error(_REFUSED)
                return
            except Exception as error:  # discord.py dies of many things when its first connection fails
                if isinstance(error, discord.ConnectionClosed) and error.code == AUTHENTICATION_FAILED:
                    log.error(_REFUSED)
                    return
                log.warning("Discord is not connected", cause=_kind(error), again_in=delay)
            finally:
                if self._delivery:
                    self._delivery.close()
                self._delivery = None
            await asyncio.sleep(delay)
            delay = SHORTEST_DELAY if client.was_ready else min(LONGEST_DELAY, 2 * delay)

    def client(self) -> EaselClient:
        """Create a client that is not connected yet, and send messages through it from now on."""
        client = EaselClient(self._easel, self._settings)
        self._client, self._delivery = client, DiscordDelivery(client, self._easel)
        return client

    async def post(self, job: Job, card: Card) -> MessageRef:
        return await self._ready().post(job, card)

    async def edit(self, job: Job, ref: MessageRef, card: Card) -> MessageRef:
        return await self._ready().edit(job, ref, card)

    async def tell(self, job: Job, ref: MessageRef | None, card: Card) -> MessageRef:
        return await self._ready().tell(job, ref, card)

    async def clear(self, job: Job, ref: MessageRef, card: Card) -> None:
        await self._ready().clear(job, ref, card)

    async def adult(self, job: Job) -> bool:
        """Tell whether the channel that a job was asked in is age-restricted now.

        False where Discord does not show it: in direct messages, and where the bot itself is not.
        """
        return await self._ready().adult(job)

    async def announce(self, tenant: str, channel: str, card: Card) -> None:
        await self._ready().announce(tenant, channel, card)

    async def display(
        self, tenant: str, channel: str, card: Card, ref: MessageRef | None, key: str
    ) -> MessageRef:
        return await self._ready().display(tenant, channel, card, ref, key)

    async def closed(self, job: Job) -> bool | None:
        """Tell whether the channel that a job was asked in is hidden from some now; None if not known."""
        return await self._delivery.closed(job) if self._delivery and self._delivery.ready else None

    def _ready(self) -> DiscordDelivery:
        if self._delivery is None or not self._delivery.ready:
            raise TryLater("Discord is not connected", after=1.0)
        return self._delivery


def _kind(error: Exception) -> str:
    """Describe an error for the log; without Discord's address, which may hold a token."""
    return str(error) if isinstance(error, discord.DiscordException) else type(error).__name__


def _hush() -> None:
    """Keep discord.py's debug log off, since it holds tokens, and its warnings about voice."""
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
    logger = logging.getLogger("discord")
    logger.setLevel(max(logging.INFO, logger.getEffectiveLevel()))
