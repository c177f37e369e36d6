from __future__ import annotations

import io
import json
import logging
import sys
import threading
import traceback
import warnings
from typing import Any

import pytest
import structlog

from bot import telemetry
from bot.settings import Secret
from bot.surfaces import Settings
from tests.examples import a_job

CANARY = 'c4nary."tökén\\'
SECRETS = Settings(discord_token=Secret(CANARY), slack_app_token=Secret("xapp-another"))


def set_up(**settings: Any) -> io.StringIO:
    stream = io.StringIO()
    telemetry.set_up(Settings(discord_token=Secret(CANARY), **settings), stream)
    return stream


def logger() -> structlog.stdlib.BoundLogger:
    found: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("bot.studio")
    return found


def test_a_line_has_its_words_and_values() -> None:
    out = set_up()
    logger().info("job admitted", job="1a2b", seconds=0.5)
    line = out.getvalue()
    for part in ("job admitted", "job=1a2b", "seconds=0.5", "bot.studio", "info"):
        assert part in line
    assert line.count("\n") == 1


def test_a_json_line_is_an_object() -> None:
    out = set_up(log_format="json")
    logger().bind(job="1a2b").warning("delivery is late", after=3)
    logging.getLogger("discord.gateway").info("shard %s is ready", 0)
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert first | {"timestamp": ""} == {
        "event": "delivery is late",
        "job": "1a2b",
        "after": 3,
        "level": "warning",
        "logger": "bot.studio",
        "timestamp": "",
    }
    assert (second["event"], second["logger"]) == ("shard 0 is ready", "discord.gateway")


def test_what_is_below_the_level_is_silent() -> None:
    out = set_up(log_level="warning")
    logger().info("quiet")
    logging.getLogger("aiohttp.server").info("quiet")
    assert out.getvalue() == ""


def test_libraries_never_log_their_payloads() -> None:
    out = set_up(log_level="debug")
    logging.getLogger("discord.http").debug("POST {prompt}")
    logging.getLogger("slack_sdk.web").debug("POST {prompt}")
    logging.getLogger("aiohttp.access").info("GET /?q=prompt")
    assert out.getvalue() == ""
    logger().debug("ours")
    assert "ours" in out.getvalue()


@pytest.mark.parametrize("format", ["text", "json"])
def test_a_secret_is_nowhere(format: str) -> None:
    out = set_up(log_format=format)
    lines = 0

    def boom(token: str) -> None:
        raise ValueError(f"bad token {token}", {"token": token})

    logger().info(f"as text {CANARY}", value=CANARY, nested={"a": [CANARY]}, odd=SECRETS)
    logging.getLogger("discord.client").info("as an argument %s %r", CANARY, CANARY)
    try:
        boom(CANARY)
    except ValueError:
        logger().exception("failed")
        logging.getLogger("slack_bolt").exception("failed")
        sys.excepthook(*sys.exc_info())
        lines = traceback.format_exc().count("boom")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"careful with {CANARY}", stacklevel=1)
    written = out.getvalue()
    assert lines and written.count("bad token") >= 3
    assert "c4nary" not in written and "xapp-another" not in written
    assert telemetry.HIDDEN in written


def test_an_error_in_a_thread_is_logged_without_its_secret() -> None:
    out = set_up()

    def fail() -> None:
        raise ValueError(CANARY)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    assert "uncaught error" in out.getvalue() and "ValueError" in out.getvalue()
    assert "c4nary" not in out.getvalue()


@pytest.mark.parametrize("format", ["text", "json"])
def test_prompts_are_logged_only_when_asked_for(format: str) -> None:
    job = a_job(prompt="a private thought")
    for allowed in (False, True):
        out = set_up(log_format=format, log_prompts=allowed)
        logger().info("admitted", job=job, request=job.request, prompt=job.prompt)
        assert ("a private thought" in out.getvalue()) is allowed
        assert "red fox" not in out.getvalue()
        assert job.id in out.getvalue()


def test_interrupting_is_no_error() -> None:
    out = set_up()
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert out.getvalue() == ""


def test_the_numbers_are_rendered_for_prometheus() -> None:
    def value(line: str) -> float:
        found = [each for each in telemetry.render().decode().splitlines() if each.startswith(line + " ")]
        return float(found[0].split()[-1]) if found else 0.0

    name = 'easel_jobs_total{state="rendered",surface="web"}'
    before = value(name)
    telemetry.JOBS.labels("rendered", "web").inc()
    telemetry.WAITING.set(3)
    telemetry.ACKNOWLEDGED.labels("web").observe(0.2)
    assert value(name) == before + 1
    assert value("easel_waiting_jobs") == 3
    assert value('easel_acknowledge_seconds_bucket{le="0.3",surface="web"}') >= 1
    assert b"easel_worker_deaths_total" in telemetry.render()
