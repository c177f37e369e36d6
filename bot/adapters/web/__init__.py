"""The web studio: the page that people without Discord or Slack use, and the administrator's window."""

from bot.adapters.web.adapter import WebAdapter

__all__ = ["WebAdapter"]
