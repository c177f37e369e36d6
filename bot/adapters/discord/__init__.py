"""Discord as a surface: slash commands, buttons, forms, mentions and messages that live."""

from bot.adapters.discord.adapter import DiscordAdapter

__all__ = ["DiscordAdapter"]
