"""Whether Slack's settings can work."""

from __future__ import annotations

from bot.adapters.slack.settings import SlackSettings
from bot.findings import Finding


def examine(settings: SlackSettings, *, running: bool = False) -> Finding:
    """Check that the tokens have their form, and that those are there which go together."""
    bot, app = settings.slack_bot_token.reveal(), settings.slack_app_token.reveal()
    if settings.slack_client_id:
        return _workspaces(settings)
    if not bot and not app:
        return Finding("Slack", None, "no SLACK_BOT_TOKEN")
    if bot and not bot.startswith("xoxb-"):
        remedy = "Copy the Bot User OAuth Token, which begins with xoxb-."
        return Finding("Slack", False, "SLACK_BOT_TOKEN is not a bot token", remedy)
    if app and not app.startswith("xapp-"):
        remedy = "Copy the app-level token, which begins with xapp-."
        return Finding("Slack", False, "SLACK_APP_TOKEN is not an app-level token", remedy)
    if bot and (app or settings.slack_signing_secret):
        return Finding("Slack", True, "the tokens have the right form")
    missing = "SLACK_APP_TOKEN" if bot else "SLACK_BOT_TOKEN"
    return Finding("Slack", False, f"{missing} is missing", f"Set {missing} too, or neither.")


def _workspaces(settings: SlackSettings) -> Finding:
    """Check that all settings for installation in many Slack workspaces are present."""
    needed = {
        "SLACK_CLIENT_SECRET": settings.slack_client_secret,
        "SLACK_TOKEN_KEYS": settings.slack_token_keys,
        "SLACK_SIGNING_SECRET": settings.slack_signing_secret or settings.slack_app_token,
        "SLACK_URL": settings.slack_url,
    }
    if missing := [name for name, value in needed.items() if not value]:
        remedy = f"Set {missing[0]} too, or remove SLACK_CLIENT_ID."
        return Finding("Slack", False, f"{missing[0]} is missing", remedy)
    return Finding("Slack", True, f"is installed from {settings.slack_url}/slack/install")
