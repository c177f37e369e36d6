"""Slack as a surface: slash commands, buttons, forms, mentions, App Home and messages that live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.adapters.slack.doctor import examine as examine
from bot.adapters.slack.settings import SlackSettings

if TYPE_CHECKING:
    from bot.adapters.slack.adapter import SlackAdapter
    from bot.easel import Easel


def wanted(settings: SlackSettings) -> bool:
    """Tell whether there is an app to be: one workspace's token, or the means to be installed."""
    return bool(settings.slack_bot_token or settings.slack_client_id)


def open_adapter(easel: Easel, settings: SlackSettings) -> SlackAdapter:
    from bot.adapters.slack.adapter import SlackAdapter

    return SlackAdapter(easel, settings)
