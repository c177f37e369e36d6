"""The official descriptions that the loopback servers of Discord and Slack check calls against.

They are not part of this repository: `EASEL_SPECS` names the folder that holds them, else `../shared/specs`.
Where one is absent nothing is checked against it, and the summary of the tests says so.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

SPECS = Path(os.environ.get("EASEL_SPECS") or Path(__file__).parents[2] / "shared" / "specs")
DISCORD = SPECS / "discord-openapi.json"
OPENAI = SPECS / "openai-images.json"
SLACK_METHODS = SPECS / "slack-methods"
SLACK_SAMPLES = SPECS / "slack-samples"
SLACK_EVENTS = SPECS / "slack-events" / "events.json"
SLACK_MANIFEST = SPECS / "slack-manifest.schema.2.0.0.json"

CHECKS: Mapping[str, tuple[str, Path]] = {
    "requests to Discord": ("tests/contract/discord", DISCORD),
    "answers of the API, and their events": ("tests/contract/api", OPENAI),
    "calls to Slack (arguments, scopes, rates, errors)": ("tests/contract/slack", SLACK_METHODS),
    "payloads of the loopback Slack": ("tests/contract/slack", SLACK_SAMPLES),
    "the events of Slack's manifest": ("tests/contract/slack", SLACK_EVENTS),
    "Slack's manifest": ("tests/contract/slack", SLACK_MANIFEST),
}
"""What is checked → the tests that rely on it, and the description."""


def unchecked(ran: Collection[str]) -> list[str]:
    """A line for each check that tests among those that ran, by their ids, had to do without."""
    return [
        f"SKIPPED: {what}: there is no {path}; {count} tests ran without this check"
        for what, (folder, path) in CHECKS.items()
        if not path.exists() and (count := sum(each.startswith(f"{folder}/") for each in ran))
    ]
