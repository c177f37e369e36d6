"""The surfaces of this Easel, and the settings of all its parts.

A surface is a package in `bot/adapters` that has what `Surface` says; a chat also has what `Chat` says. A new
one is named here, in `Settings` and in `CHATS`, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from bot.adapters import discord, slack, web
from bot.adapters.api.settings import ApiSettings
from bot.adapters.discord.settings import DiscordSettings
from bot.adapters.slack.settings import SlackSettings
from bot.adapters.web.settings import WebSettings
from bot.describing.settings import DescribeSettings
from bot.engines import EngineSettings
from bot.findings import Finding
from bot.images.blobs.settings import StorageSettings
from bot.images.controlling import ControlSettings
from bot.images.printing import PrintSettings
from bot.images.segmenting import SegmentSettings
from bot.rewriting.settings import RewritingSettings

if TYPE_CHECKING:
    from bot.adapters.base import ChatAdapter
    from bot.easel import Easel


class Settings(
    SlackSettings,
    DiscordSettings,
    ApiSettings,
    WebSettings,
    RewritingSettings,
    DescribeSettings,
    SegmentSettings,
    ControlSettings,
    PrintSettings,
    EngineSettings,
    StorageSettings,
):
    """Everything that can be set. The last base comes first in `.env.example` and in README's table."""


class Surface(Protocol):
    """A package in `bot/adapters`."""

    def examine(self, settings: Settings, *, running: bool) -> Finding | Sequence[Finding]:
        """Check its settings, for `doctor`. `running`: an Easel serves from this data folder. May block."""
        ...


class Chat(Surface, Protocol):
    """A surface that is opened where its settings are made."""

    def wanted(self, settings: Settings) -> bool:
        """Tell whether it is set up."""
        ...

    def open_adapter(self, easel: Easel, settings: Settings) -> ChatAdapter:
        """Return its adapter. Imports the platform's library."""
        ...


CHATS: tuple[Chat, ...] = (discord, slack)
SURFACES: tuple[Surface, ...] = (*CHATS, web)
