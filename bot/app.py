"""Wires settings → store → engine → studio → surfaces, and serves until told to stop."""

from __future__ import annotations

import asyncio
import gc
import importlib
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog

from bot import control, doctor, lag, private, telemetry
from bot.adapters.base import ChatAdapter
from bot.clock import TrustedClock
from bot.errors import EaselError, SettingError
from bot.guard import Guard
from bot.images.blobs import BlobStore, open_blobs
from bot.provenance import signing
from bot.settings import Settings
from bot.store import Store
from bot.studio import Studio
from bot.tiers import Tiers
from bot.tiers import load as load_tiers
from engine.errors import EngineError
from engine.local import LocalEngine
from engine.memory import MEMORY, MemoryEngine
from engine.types import Engine

log = structlog.stdlib.get_logger(__name__)

DRAIN = 30.0  # seconds that running jobs get when Easel stops
PATIENCE = 20.0  # seconds for the end of a process that must not go on
SHORTEST_DELAY, LONGEST_DELAY = 5.0, 300.0  # seconds until a surface that broke is begun anew
MEMORY_STEP = 0.02  # seconds a step takes with MODEL=memory

SURFACES = (
    ("bot.adapters.discord", "DiscordAdapter", "discord_token"),
    ("bot.adapters.slack", "SlackAdapter", "slack_wanted"),
)
"""Module, class and the setting that switches it on."""


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Studio]:
    """A studio that is not started yet. Raises StoreError, SettingError."""
    private.data_folder(settings.data_dir)
    clock = TrustedClock()
    store = await Store.open(settings.database_url, clock=clock)
    try:
        clock.not_before(await store.newest_line())
        blobs = open_blobs(settings)
        guard = Guard(store)
        engine = await asyncio.to_thread(_engine, settings, blobs, guard)
        tiers = _tiers(settings, engine)
        keys = await asyncio.to_thread(
            signing.ready, settings.keys_dir, settings.signing_certificate, settings.signing_key
        )
        studio = Studio(
            settings=settings, store=store, engine=engine, blobs=blobs, tiers=tiers, guard=guard, keys=keys
        )
        try:
            yield studio
        finally:
            await studio.close()
    finally:
        await store.close()


def _tiers(settings: Settings, engine: Engine) -> Tiers:
    path = Path(settings.tiers_file).expanduser() if settings.tiers_file else None
    return load_tiers(path, [model.name for model in engine.models()])


def _engine(settings: Settings, blobs: BlobStore, guard: Guard) -> Engine:
    if settings.model == (MEMORY.name,):
        return MemoryEngine(blobs.read, step_seconds=MEMORY_STEP, may_start=guard.may_start)
    try:
        return LocalEngine(
            models=settings.model,
            device=settings.device,
            read=blobs.read,
            hang_seconds=settings.hang_seconds,
            may_start=guard.may_start,
        )
    except EngineError as error:
        raise SettingError(error.advice) from error


async def run(settings: Settings) -> None:
    """Serve every surface that is set up until SIGINT or SIGTERM.

    Raises EaselError, also when the process must end by itself.
    """
    # Imported here: only this command needs a web server.
    from bot.adapters.web import WebAdapter

    telemetry.set_up(settings)
    await doctor.refuse_to_start(settings)
    async with opened(settings) as studio, stop_signal(studio.guard.failed) as stopped, lag.watched():
        web = WebAdapter(studio, settings)
        web.bind()
        adapters: list[ChatAdapter] = [web, *_chats(studio, settings)]
        for adapter in adapters:
            studio.add(adapter)
        try:
            await studio.start()
        except BaseException:
            web.close()
            raise
        spare_the_collector()
        serving = [asyncio.create_task(_serve(each), name=each.name) for each in adapters]
        try:
            async with control.listening(studio, settings.data_dir):
                sys.stdout.write(f"Easel is open at {web.url}\n{web.office}\n")
                sys.stdout.flush()
                await stopped.wait()
            if studio.guard.reason:
                end_soon()
                raise EaselError(studio.guard.reason)
            log.info("stopping", drain=DRAIN)
            await studio.close(DRAIN)
        finally:
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)


def spare_the_collector() -> None:
    """Leave what start-up made out of garbage collections: it lives as long as the process.

    Full collections stopped the event loop for up to 0.3 s under 100 events/s, and for 0.15 s without that.
    """
    gc.collect()
    gc.freeze()


def end_soon() -> None:
    """End the process even if it cannot be ended in order, as when memory is exhausted."""
    timer = threading.Timer(PATIENCE, os._exit, [2])
    timer.daemon = True
    timer.start()


async def _serve(adapter: ChatAdapter) -> None:
    """One surface that breaks leaves the others alone, and is begun anew."""
    delay = SHORTEST_DELAY
    while True:
        try:
            await adapter.run()
            return
        except Exception:
            log.exception("surface stopped", surface=adapter.name, again_in=delay)
        await asyncio.sleep(delay)
        delay = min(LONGEST_DELAY, 2 * delay)


def _chats(studio: Studio, settings: Settings) -> list[ChatAdapter]:
    found: list[ChatAdapter] = []
    for module, name, token in SURFACES:
        if not getattr(settings, token):
            continue
        if importlib.util.find_spec(module) is None:
            log.warning("this version has no such surface", surface=module, setting=token.upper())
            continue
        make: Callable[[Studio, Settings], ChatAdapter] = getattr(importlib.import_module(module), name)
        found.append(make(studio, settings))
    return found


@asynccontextmanager
async def stop_signal(failed: asyncio.Event) -> AsyncIterator[asyncio.Event]:
    """An event that `failed` sets, or the first SIGINT or SIGTERM; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)

    def release() -> None:
        for each in signals:
            with suppress(NotImplementedError):
                loop.remove_signal_handler(each)

    def stop() -> None:
        stopped.set()
        release()

    async def stop_when_failed() -> None:
        await failed.wait()
        stopped.set()

    for each in signals:
        with suppress(NotImplementedError):  # Windows: Ctrl-C then ends the process without a drain
            loop.add_signal_handler(each, stop)
    watch = asyncio.create_task(stop_when_failed())
    try:
        yield stopped
    finally:
        watch.cancel()
        release()
