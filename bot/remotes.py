"""Models behind an API: their keys, and whether their servers answer to them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

from bot.engines import EngineSettings
from bot.findings import Finding
from bot.settings import is_loopback
from engine.errors import EngineError
from engine.remote.client import RemoteClient
from engine.remote.models import Remote, RemoteModels, is_remote

PATIENCE = 10.0  # seconds


def read(settings: EngineSettings) -> Mapping[str, Finding]:
    """Return what is wrong with the names and the file of models behind an API, without asking anybody."""
    return {name: _read(name, settings)[0] for name in settings.model if is_remote(name)}


def check(name: str, settings: EngineSettings) -> Finding:
    """Ask a model's server which models it has, with its key. Nothing is painted or paid for."""
    found, remote, key = _read(name, settings)
    return found if remote is None else asyncio.run(_asked(found.name, remote, key))


def _read(name: str, settings: EngineSettings) -> tuple[Finding, Remote | None, str]:
    title = f"Model {name}"
    try:
        info, remote = RemoteModels.read(settings.remote_models).model(name)
        keys = settings.keys()
    except (EngineError, ValueError) as error:
        advice = error.advice if isinstance(error, EngineError) else str(error)
        return Finding(title, False, advice, "Correct it, or choose another MODEL."), None, ""
    return Finding(title, None, f"is asked at {remote.host}"), remote, keys.of(info.name, remote.host)


async def _asked(title: str, remote: Remote, key: str) -> Finding:
    client = RemoteClient(remote, key)
    try:
        async with asyncio.timeout(PATIENCE):
            listed = await client.models()
    except TimeoutError:
        detail = f"{remote.host} does not answer within {PATIENCE:g} s"
        return Finding(title, False, detail, "Start that server, or correct the address in MODEL.")
    except EngineError as error:
        remedy = "Set OPENAI_API_KEY or MODEL_KEYS." if not key else "Correct the key or the address."
        return Finding(title, False, str(error), remedy)
    finally:
        await client.close()
    if listed and remote.model and remote.model not in listed and remote.server in ("openai", "vllm"):
        detail = f"{remote.host} has no {remote.model}, but {', '.join(listed[:5])}"
        return Finding(title, False, detail, "Name one of its models behind the # in MODEL.")
    if key and remote.url.startswith("http://") and not is_loopback(urlsplit(remote.url).hostname or ""):
        detail = f"{remote.host} answers, but its key travels without TLS"
        return Finding(title, None, detail)
    return Finding(title, True, f"{remote.host} answers{' to its key' if key else ''}")
