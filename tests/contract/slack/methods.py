"""What Slack's method descriptions say about a call: its arguments, scopes and rate, where they are at hand.

https://docs.slack.dev/reference/methods, as collected by https://github.com/slack-ruby/slack-api-ref
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from tests.specs import SLACK_METHODS

AT_HAND = SLACK_METHODS.is_dir()
needed = pytest.mark.skipif(not AT_HAND, reason="Slack's method descriptions are not at hand")
Json = dict[str, Any]

TIERS = {"t1": 1, "t2": 20, "t3": 50, "t4": 100, "t5": 600}
"""Calls a minute and workspace; t5 is "special", several hundred. https://docs.slack.dev/apis/web-api/rate-limits"""

_TEXT: Json = {"type": "string"}
_UNLISTED: dict[str, Json] = {
    # https://docs.slack.dev/reference/methods/usergroups.list and …/usergroups.users.list
    "usergroups.list": {
        "scope": {"bot": ["usergroups:read"]},
        "rate_limits": "t2",
        "args": {
            "required": ["token"],
            "properties": dict.fromkeys(
                ("token", "include_count", "include_disabled", "include_users", "team_id"), _TEXT
            ),
        },
        "errors": {},
    },
    "usergroups.users.list": {
        "scope": {"bot": ["usergroups:read"]},
        "rate_limits": "t2",
        "args": {
            "required": ["token", "usergroup"],
            "properties": dict.fromkeys(("token", "usergroup", "include_disabled", "team_id"), _TEXT),
        },
        "errors": {"no_such_subteam": {}},
    },
}
"""Methods that the descriptions leave out."""

_UNDOCUMENTED = {"auth.test": {"team_id"}}
"""Arguments that Slack's own libraries send and the descriptions leave out."""

_EVERYWHERE = {
    "invalid_auth",
    "not_authed",
    "account_inactive",
    "token_revoked",
    "missing_scope",
    "missing_argument",
    "invalid_arguments",
    "ratelimited",
    "unknown_method",
    "internal_error",
    "fatal_error",
    "access_denied",
    "not_allowed_token_type",
}
"""Errors of every method. https://docs.slack.dev/reference/methods/auth.test#errors"""


@cache
def described(name: str) -> Json | None:
    """A method's description, or None where there is none."""
    if name in _UNLISTED:
        return _UNLISTED[name]
    file = SLACK_METHODS / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else None


def wrong_arguments(name: str, given: Mapping[str, Any], *, as_json: bool) -> list[str]:
    """Where a call's arguments are not as described.

    Nothing is checked where the descriptions are not at hand: the tests' summary says so (`tests.specs`).
    """
    about = described(name)
    if about is None:
        return [f"{name} is no method that is known"] if AT_HAND else []
    known = dict.fromkeys(_UNDOCUMENTED.get(name, ()), _TEXT) | about["args"].get("properties", {})
    found = [f"{name} takes no argument {key}" for key in given.keys() - known.keys()]
    needed = set(about["args"].get("required") or ()) - {"token"}  # it stands in a header
    found += [f"{name} needs {key}" for key in needed if given.get(key) in (None, "")]
    if as_json and given and not about.get("json_input_supported"):
        found.append(f"{name} takes no JSON")
    found += [
        f"{name}: {key}={value!r:.80} is not {known[key]['type']}"
        for key, value in given.items()
        if key in known and not _fits(value, known[key].get("type"), as_json)
    ]
    return found


def _fits(value: Any, kind: str | None, as_json: bool) -> bool:
    match kind:
        case "integer":
            return not isinstance(value, bool) and str(value).lstrip("-").isdecimal()
        case "boolean":
            return (
                isinstance(value, bool) if as_json else value in ("0", "1", "true", "false", "True", "False")
            )
        case "array":
            return isinstance(value, list) if as_json else isinstance(value, str)
    return True  # of texts, JSON may have what they encode in its place


def lacking(name: str, scopes: set[str]) -> str:
    """The scope that a bot token lacks for a method, or nothing. One of several is enough."""
    about = described(name)
    wanted = about["scope"].get("bot", []) if about else []
    return "" if not wanted or scopes & set(wanted) else ",".join(wanted)


def per_minute(name: str) -> int:
    """How often a workspace may call a method in a minute."""
    about = described(name)
    return TIERS[about["rate_limits"]] if about else TIERS["t5"]


def knows_error(name: str, error: str) -> bool:
    """Whether Slack would answer a method so."""
    about = described(name)
    return about is None or error in _EVERYWHERE or error in about["errors"]
