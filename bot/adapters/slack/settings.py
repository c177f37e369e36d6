"""Slack's settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from bot.settings import Address, CoreSettings, Port, Secret, Several


def _users(given: tuple[str, ...]) -> tuple[str, ...]:
    found = tuple(id.upper() for id in given)
    if not all(id[0] in "UW" and id.isascii() and id.isalnum() for id in found):
        raise ValueError("user ids as in U012ABCDEF,U345GHIJKL")
    return found


def _workspaces(given: tuple[str, ...]) -> tuple[str, ...]:
    found = tuple(id.upper() for id in given)
    if not all(id[0] == "T" and id.isascii() and id.isalnum() for id in found):
        raise ValueError("workspace ids as in T012ABCDEF,T345GHIJKL")
    return found


class SlackSettings(CoreSettings):
    """An app in one workspace or in many, by Socket Mode or HTTP."""

    slack_bot_token: Secret = Secret()
    """The bot token of the Slack app (xoxb-…). Empty: no Slack."""
    slack_app_token: Secret = Secret()
    """The app-level token of the Slack app (xapp-…), for Socket Mode."""
    slack_signing_secret: Secret = Secret()
    """The signing secret of the Slack app, for HTTP mode."""
    slack_client_id: str = ""
    """The client id of the Slack app, to be installed in many workspaces."""
    slack_client_secret: Secret = Secret()
    """The client secret of the Slack app, for the same."""
    slack_token_keys: Secret = Secret()
    """What encrypts the tokens of many workspaces: keys of `python -m bot slack key`, with commas between
    them. The first encrypts, all decrypt."""
    slack_url: Address = ""
    """The address that Slack reaches in HTTP mode, as in https://easel.example.org."""
    slack_http_host: str = "127.0.0.1"
    """Where HTTP mode listens; a proxy with TLS stands before it."""
    slack_http_port: Port = 3000
    """The port of HTTP mode; 0 takes any free one."""
    slack_admins: Annotated[Several, AfterValidator(_users)] = ()
    """Slack user ids that administer Easel beside Slack's own admins, with commas between them."""
    slack_workspaces: Annotated[Several, AfterValidator(_workspaces)] = ()
    """Ids of the workspaces that may use Easel, with commas between them. Empty: all that install it."""
