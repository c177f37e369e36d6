"""The app's manifest against Slack's own schema, and against what the app does with it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from bot.adapters.slack.manifest import manifest
from tests.contract.slack import methods
from tests.specs import SLACK_EVENTS as EVENTS
from tests.specs import SLACK_MANIFEST as SCHEMA

URL = "https://easel.example.org"

BOTH = pytest.mark.parametrize("url", ["", URL], ids=["socket", "http"])


def made(url: str) -> dict[str, Any]:
    return manifest(url) if url else manifest()


@BOTH
def test_it_is_what_the_schema_says(url: str) -> None:
    if not SCHEMA.exists():
        pytest.skip("Slack's manifest schema is not at hand")
    found = Draft7Validator(json.loads(SCHEMA.read_text())).iter_errors(made(url))
    assert [f"{error.json_path}: {error.message[:200]}" for error in found] == []


@BOTH
def test_each_way_to_connect_is_complete(url: str) -> None:
    settings = made(url)["settings"]

    assert settings["socket_mode_enabled"] is not bool(url)
    assert settings["interactivity"]["is_enabled"]
    for part in (settings["interactivity"], settings["event_subscriptions"]):
        assert part.get("request_url", "") == (f"{url}/slack/events" if url else "")
    assert all(bool(each.get("url")) is bool(url) for each in made(url)["features"]["slash_commands"])


def test_every_event_has_its_scope() -> None:
    if not EVENTS.exists():
        pytest.skip("Slack's event descriptions are not at hand")
    known = {each["name"]: each for each in json.loads(EVENTS.read_text())}
    scopes = set(made("")["oauth_config"]["scopes"]["bot"])
    for name in made("")["settings"]["event_subscriptions"]["bot_events"]:
        wanted = {scope.replace(".", ":") for scope in known[name]["scopes"]}
        assert wanted <= scopes, f"{name} needs {wanted - scopes}"


def test_it_asks_for_nothing_that_is_not_used() -> None:
    """Each scope serves an event, a method that is called, or a command."""
    if not EVENTS.exists():
        pytest.skip("Slack's event descriptions are not at hand")
    about = made("")
    known = {each["name"]: each for each in json.loads(EVENTS.read_text())}
    used = {"commands", "chat:write.public"}
    for name in about["settings"]["event_subscriptions"]["bot_events"]:
        used |= {scope.replace(".", ":") for scope in known[name]["scopes"]}
    for name in CALLED:
        described = methods.described(name)
        assert described
        used |= set(described["scope"].get("bot", ()))
    assert set(about["oauth_config"]["scopes"]["bot"]) - used == set()


CALLED = (
    "chat.postMessage",
    "files.getUploadURLExternal",
    "files.info",
    "users.info",
    "usergroups.list",
    "conversations.open",
    "conversations.history",
    "conversations.info",
    "conversations.join",
    "assistant.threads.setSuggestedPrompts",
)


def test_names_fit() -> None:
    features = made("")["features"]

    assert {each["command"] for each in features["slash_commands"]} == {"/imagine", "/easel"}
    for each in features["slash_commands"]:
        assert 0 < len(each["description"]) <= 2000
    shortcuts = features["shortcuts"]
    assert {each["name"] for each in shortcuts if each["type"] == "message"} == {
        "Use as reference",
        "Verify",
        "Variations",
        "Upscale",
        "Cut out",
        "Edit…",
        "Info",
    }
    assert len([each for each in shortcuts if each["type"] == "global"]) == 1
    assert all(len(each["name"]) <= 24 and len(each["description"]) <= 150 for each in shortcuts)
    assert len({each["callback_id"] for each in shortcuts}) == len(shortcuts)
    assert features["app_home"]["home_tab_enabled"] and features["app_home"]["messages_tab_enabled"]
    assert features["app_home"]["messages_tab_read_only_enabled"] is False


def test_the_command_line_prints_it() -> None:
    command = [sys.executable, "-m", "bot", "slack", "manifest"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)

    assert yaml.safe_load(done.stdout) == made("")
