"""What Easel tells its administrator: log lines with a job's id, and numbers for /metrics."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, MutableMapping
from types import TracebackType
from typing import Any, TextIO
from urllib.parse import quote

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from bot.models import Job
from bot.settings import CoreSettings
from engine.types import EngineJob, GenerationRequest

# ---- logs

HIDDEN = "[hidden]"

_PROMPTS = frozenset({"prompt", "negative", "negative_prompt", "text", "request", "options"})
_NOISY = ("aiohttp.access", "alembic", "asyncio", "discord", "slack_bolt", "slack_sdk", "PIL")
_SHORTEST_SECRET = 4  # characters; hiding less would hide half of every line

Event = MutableMapping[str, Any]


def set_up(settings: CoreSettings, stream: TextIO = sys.stderr) -> None:
    """Route structlog, the standard library's loggers, warnings and uncaught errors to `stream`.

    Secrets never get there, and prompts only when LOG_PROMPTS says so.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_nouns if settings.log_prompts else _without_prompts,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_SecretFormatter(settings, shared, colors=stream.isatty()))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for name in _NOISY:
        # Their debug lines hold whole payloads, and with them what people wrote.
        logging.getLogger(name).setLevel(max(logging.INFO, logging.root.level))
    for name in ("aiohttp.access", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


class _SecretFormatter(structlog.stdlib.ProcessorFormatter):
    """Renders a line, then takes the secrets out of it, wherever they came from."""

    def __init__(
        self, settings: CoreSettings, shared: list[structlog.typing.Processor], *, colors: bool
    ) -> None:
        super().__init__(foreign_pre_chain=shared, processors=_rendering(settings.log_format, colors))
        values = [secret.reveal() for secret in settings.secrets()]
        spellings = {form(value) for value in values if len(value) >= _SHORTEST_SECRET for form in _SPELLINGS}
        self._secrets = sorted(spellings, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        for secret in self._secrets:
            line = line.replace(secret, HIDDEN)
        return line


_SPELLINGS: tuple[Callable[[str], str], ...] = (
    str,
    lambda value: repr(value)[1:-1],
    lambda value: json.dumps(value)[1:-1],
    lambda value: json.dumps(json.dumps(value)[1:-1])[1:-1],  # a repr or JSON text inside a JSON line
    lambda value: quote(value, safe=""),
)


def _rendering(format: str, colors: bool) -> list[structlog.typing.Processor]:
    if format == "json":
        renderer: structlog.typing.Processor = structlog.processors.JSONRenderer(default=str)
        errors: list[structlog.typing.Processor] = [structlog.processors.format_exc_info]
    else:
        # Plain tracebacks: the pretty ones print local variables, and prompts are among them.
        plain = structlog.dev.plain_traceback
        renderer, errors = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain), []
    return [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *errors, renderer]


def _without_prompts(logger: object, method: str, event: Event) -> Event:
    for name in event.keys() & _PROMPTS:
        event[name] = HIDDEN
    return _without_nouns(logger, method, event)


def _without_nouns(logger: object, method: str, event: Event) -> Event:
    """Log a job by its id and hide a request, as they hold the prompt and a platform's tokens."""
    for name, value in event.items():
        if isinstance(value, Job | EngineJob):
            event[name] = value.id
        elif isinstance(value, GenerationRequest):
            event[name] = HIDDEN
    return event


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("easel").critical("uncaught error", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)


# ---- numbers

REGISTRY = CollectorRegistry()

JOBS = Counter("easel_jobs", "Jobs by how they stand.", ("state", "surface"), registry=REGISTRY)
DEVICE_SECONDS = Counter("easel_device_seconds", "Device-seconds used.", ("model",), registry=REGISTRY)
ACKNOWLEDGED = Histogram(
    "easel_acknowledge_seconds",
    "From an event's arrival to its answer.",
    ("surface",),
    buckets=(0.05, 0.1, 0.3, 0.5, 1.0, 2.0, 3.0, 10.0),
    registry=REGISTRY,
)
REFUSED = Counter(
    "easel_refused", "Requests and pictures that moderation refused.", ("category",), registry=REGISTRY
)
WAITING = Gauge("easel_waiting_jobs", "Jobs in the queue.", registry=REGISTRY)
RETRIES = Counter("easel_delivery_retries", "Messages that were sent again.", ("surface",), registry=REGISTRY)
DEATHS = Counter("easel_worker_deaths", "Workers that died or hung.", registry=REGISTRY)
OUT = Gauge("easel_devices_out", "Devices out of service, since they paint nothing.", registry=REGISTRY)
LAG = Gauge(
    "easel_event_loop_lag_seconds", "The event loop's longest lag in the last minute.", registry=REGISTRY
)


def render() -> bytes:
    """Return the metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
