"""The web studio: the page that people without Discord or Slack use, and the administrator's window."""

from bot.adapters.web.doctor import examine as examine
