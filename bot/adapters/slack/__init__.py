"""Slack as a surface: slash commands, buttons, forms, mentions, App Home and messages that live."""

from bot.adapters.slack.adapter import SlackAdapter

__all__ = ["SlackAdapter"]
