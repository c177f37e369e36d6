"""The composition root: builds every service, then the surfaces, and serves until told to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog

from bot import doctor, lag, private, telemetry
from bot.accounts.access import Access
from bot.accounts.api_keys import ApiKeys
from bot.accounts.logins import Logins
from bot.accounts.privacy import Privacy
from bot.accounts.service import AccountService
from bot.accounts.tiers import Tiers
from bot.accounts.tiers import load as load_tiers
from bot.adapters.base import ChatAdapter
from bot.admin import admin_socket
from bot.admin.asked import Policies
from bot.admin.dashboard import Dashboard
from bot.admin.log_channel import LogChannel
from bot.admin.overview import OverviewCommands
from bot.admin.painting import Terminals
from bot.admin.people import PeopleCommands
from bot.admin.places import PlaceCommands
from bot.admin.queue import QueueCommands
from bot.admin.records import RecordCommands
from bot.admin.service import Admin
from bot.admin.setup import SetupCommands
from bot.admin.tiers import TierCommands
from bot.clock import TrustedClock
from bot.commands.complete import Vocabulary
from bot.contests.running import OpenContests
from bot.contests.service import Contests
from bot.describing.describers import CaptionDescriber, Describer, DrawingDescriber
from bot.describing.judging import DrawingScorer, Judging, ModelScorer
from bot.describing.service import DescribeService
from bot.easel import Easel
from bot.engines import open_engine
from bot.errors import EaselError
from bot.gate import Gate
from bot.guard import Guard
from bot.i18n.speech import Speech
from bot.images.blobs import BlobStore, open_blobs
from bot.images.controlling import ControlMaker, ControlSettings, ProcessControlMaker
from bot.images.printing import Printer
from bot.images.segmenting import ProcessSegmenter, Segmenter
from bot.images.service import Images
from bot.jobs.alt_texts import AltTextService
from bot.jobs.cards import JobCards
from bot.jobs.changes import Changes
from bot.jobs.controls import ControlService
from bot.jobs.covers import Covers
from bot.jobs.departures import Departures
from bot.jobs.endings import Endings
from bot.jobs.favourites import FavouriteService
from bot.jobs.files import FileService
from bot.jobs.holds import Holds
from bot.jobs.lineage import LineageQueries
from bot.jobs.live import LiveJobs
from bot.jobs.message_sync import MessageSync
from bot.jobs.messages import JobMessages
from bot.jobs.packs import PackService
from bot.jobs.parts import PartService
from bot.jobs.pictures import Pictures
from bot.jobs.planning import Planner
from bot.jobs.queries import JobQueries
from bot.jobs.recovery import Recovery
from bot.jobs.references import ReferenceService
from bot.jobs.regions import Regions
from bot.jobs.series import SeriesService
from bot.jobs.service import JobService
from bot.jobs.tracker import JobTracker
from bot.jobs.visibility import Visibility
from bot.lifecycle import Lifecycle
from bot.models import Job
from bot.moderation import ImageClassifier, MobileNetClassifier, NullClassifier
from bot.moderation.reviews import Reviews
from bot.prompts import packs
from bot.provenance import signing
from bot.provenance.keys import Keys
from bot.provenance.service import VerifyService
from bot.provenance.stamper import Stamper
from bot.readiness import Readiness
from bot.rewriting.service import RewriteService
from bot.rewriting.settings import RewritingSettings
from bot.rewriting.text_model import TextModel
from bot.router import Router
from bot.store import Store
from bot.surfaces import CHATS, Settings
from engine.types import Engine

log = structlog.stdlib.get_logger(__name__)

DRAIN = 30.0  # seconds that running jobs get when Easel stops
PATIENCE = 20.0  # seconds for the end of a process that must not go on
SHORTEST_DELAY, LONGEST_DELAY = 5.0, 300.0  # seconds until a surface that broke is begun anew


def build(
    *,
    settings: Settings,
    store: Store,
    engine: Engine,
    blobs: BlobStore,
    tiers: Tiers | None = None,
    classifier: ImageClassifier | None = None,
    drawings: Describer | None = None,
    captions: Describer | None = None,
    judging: Judging | None = None,
    guard: Guard | None = None,
    keys: Keys | None = None,
    segmenter: Segmenter | None = None,
) -> Easel:
    """Build every service, each from those above it. Nothing is started yet."""
    tiers = tiers or load_tiers()
    guard = guard or Guard(store)
    keys = keys or signing.ready(settings.keys_dir, settings.signing_certificate, settings.signing_key)
    classifier = classifier or (MobileNetClassifier() if settings.picture_check else NullClassifier())
    segmenter = segmenter or (ProcessSegmenter(settings.segment_model) if settings.segment_model else None)
    speech, lives, holds, gate, covers = Speech(), LiveJobs(), Holds(engine), Gate(guard), Covers()
    adapters: dict[str, ChatAdapter] = {}
    log_channel = LogChannel(store, speech, adapters)
    logins = Logins(store, settings.web_address)
    images = Images(store, blobs, keys, settings.max_source_bytes, Printer.of(settings))

    # Who may see what, and ask for what.
    access = Access(store, engine, tiers, settings.direct_messages)
    visibility = Visibility(store, lives, access, adapters)
    vocabulary = Vocabulary(store, engine, tiers, settings.operators, access, visibility)

    # From what the engine reports to messages.
    open_contests = OpenContests()
    cards = JobCards(lives, holds, access, visibility, speech, covers, open_contests)
    sync = MessageSync(store, cards.own, adapters)

    def show(job: Job) -> None:
        sync.show(job)
        log_channel.ended(job)

    tracker = JobTracker(
        lives=lives,
        engine=engine,
        store=store,
        blobs=blobs,
        show=show,
        classifier=classifier,
        judging=judging or Judging(DrawingScorer(), ModelScorer(settings.judge) if settings.judge else None),
        rules=access.moderation,
        stamp=Stamper(store, blobs, keys, access.labelled).stamp,
        holds=holds.is_held,
        give_up=guard.fail,
    )
    recovery = Recovery(store, tracker, tiers, sync.show)
    endings = Endings(store, engine, tracker)

    # What people do.
    reviews = Reviews(settings, store, sync.show, log_channel.tell)
    privacy = Privacy(store, blobs, endings.delete, settings.retention_days)
    regions = Regions(store, images, blobs, segmenter)
    found_pictures = Pictures(store, blobs, visibility)
    controls = ControlService(control_models(settings))
    planner = Planner(
        store, engine, access, visibility, regions, settings.max_source_bytes, found_pictures, controls
    )
    series = SeriesService(store, engine, access, planner, reviews, tracker)
    jobs = JobService(
        store, engine, access, visibility, planner, reviews, tracker, endings, cards, series, regions, images
    )
    describing = DescribeService(
        store,
        images,
        access,
        visibility,
        planner,
        settings.max_source_bytes,
        drawings or DrawingDescriber(),
        captions or (CaptionDescriber(settings.caption_model) if settings.caption_model else None),
    )
    rewriting = RewriteService(store, access, planner, reviews, text_model(settings))
    queries = JobQueries(store, engine, lives, access, visibility, cards)
    accounts = AccountService(store, engine, access, visibility, tracker, logins)
    api_keys = ApiKeys(store, logins, settings.api_requests > 0)
    policies = Policies(store, speech, holds, covers)
    files = FileService(store, images, visibility)
    contests = Contests(store, visibility, reviews, speech, adapters, log_channel, open_contests, covers)
    admin = Admin(
        settings.operators,
        access,
        QueueCommands(store, engine, lives, tracker, endings, holds, policies, sync.show),
        PeopleCommands(store, tiers, endings, logins, policies),
        TierCommands(store, tiers, policies, lambda: currencies(engine)),
        PlaceCommands(engine, tiers, policies, log_channel),
        RecordCommands(store, access, reviews),
        OverviewCommands(store, tiers, policies),
        log_channel,
        SetupCommands(store, tiers, policies),
        contests.commands,
    )
    router = Router(
        store,
        gate,
        speech,
        access,
        visibility,
        vocabulary,
        jobs,
        series,
        queries,
        FavouriteService(store, visibility),
        accounts,
        logins,
        privacy,
        reviews,
        images,
        VerifyService(images, visibility),
        describing,
        rewriting,
        admin,
        contests,
        api_keys,
        PartService(engine, access, visibility, regions, jobs, logins),
        ReferenceService(store, blobs, found_pictures, settings.max_source_bytes),
        PackService(store, engine, access, planner),
        files,
        AltTextService(store, access, visibility, reviews),
    )
    return Easel(
        adapters=adapters,
        lifecycle=Lifecycle(
            store,
            engine,
            guard,
            gate,
            tracker,
            sync,
            recovery,
            privacy,
            images,
            policies,
            log_channel,
            contests,
            regions,
            controls,
            describing,
            rewriting,
        ),
        guard=guard,
        readiness=Readiness(settings, store, engine, adapters),
        router=router,
        vocabulary=vocabulary,
        planner=planner,
        changes=Changes(store, engine, access, visibility, planner, speech),
        speech=speech,
        accounts=accounts,
        access=access,
        logins=logins,
        api_keys=api_keys,
        admin=admin,
        dashboard=Dashboard(
            settings=settings, store=store, engine=engine, tiers=tiers, lives=lives, holds=holds
        ),
        visibility=visibility,
        queries=queries,
        lineage=LineageQueries(store, visibility),
        cards=cards,
        messages=JobMessages(store, lives, sync),
        contests=contests,
        departures=Departures(store, lives, endings, contests.lost),
        images=images,
        files=files,
        installations=store,
    )


def currencies(engine: Engine) -> tuple[str, ...]:
    """Return the currencies in which models are paid for by the image."""
    return tuple(dict.fromkeys(each.currency for each in engine.models() if each.prices))


def text_model(settings: RewritingSettings) -> TextModel | None:
    """Return the text model that is set up; None where there is none."""
    url, key = settings.text_model_url, settings.text_model_key
    return TextModel(url, settings.text_model, key.reveal()) if url else None


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Easel]:
    """Open an Easel that is not started yet, and close it at the end. Raises StoreError, SettingError."""
    private.data_folder(settings.data_dir)
    clock = TrustedClock()
    store = await Store.open(settings.database_url, clock=clock)
    try:
        clock.not_before(await store.newest_line())
        blobs = open_blobs(settings)
        guard = Guard(store)
        judged = bool(settings.judge)
        engine = await asyncio.to_thread(open_engine, settings, blobs, guard, judged=judged)
        tiers = _tiers(settings, engine)
        packs.use(_packs(settings))
        keys = await asyncio.to_thread(
            signing.ready, settings.keys_dir, settings.signing_certificate, settings.signing_key
        )
        easel = build(
            settings=settings, store=store, engine=engine, blobs=blobs, tiers=tiers, guard=guard, keys=keys
        )
        try:
            yield easel
        finally:
            await easel.lifecycle.close()
    finally:
        await store.close()


def _packs(settings: Settings) -> packs.Packs:
    return packs.load(Path(settings.packs_file).expanduser() if settings.packs_file else None)


def _tiers(settings: Settings, engine: Engine) -> Tiers:
    path = Path(settings.tiers_file).expanduser() if settings.tiers_file else None
    return load_tiers(path, [model.name for model in engine.models()])


async def run(settings: Settings) -> None:
    """Serve every surface that is set up until SIGINT or SIGTERM.

    Raises EaselError, also when the process must end by itself.
    """
    # Imported here: only this command needs a web server.
    from bot.adapters.api.adapter import ApiAdapter
    from bot.adapters.web.adapter import WebAdapter

    telemetry.set_up(settings)
    await doctor.refuse_to_start(settings)
    async with opened(settings) as easel, stop_signal(easel.guard.failed) as stopped, lag.watched():
        api = ApiAdapter(easel, settings)
        web = WebAdapter(easel, settings, api)
        web.bind()
        chats = [each.open_adapter(easel, settings) for each in CHATS if each.wanted(settings)]
        adapters: list[ChatAdapter] = [web, api, *chats, Terminals()]
        easel.adapters.update({each.name: each for each in adapters})
        try:
            await easel.lifecycle.start()
        except BaseException:
            web.close()
            raise
        spare_the_collector()
        serving = [asyncio.create_task(_serve(each), name=each.name) for each in adapters]
        try:
            async with admin_socket.listening(easel, settings.data_dir):
                sys.stdout.write(f"Easel is open at {web.url}\n{web.office}\n")
                sys.stdout.flush()
                await stopped.wait()
            if easel.guard.reason:
                end_soon()
                raise EaselError(easel.guard.reason)
            log.info("stopping", drain=DRAIN)
            await easel.lifecycle.close(DRAIN)
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
    """Run an adapter, and start it again whenever it breaks: the other surfaces are not affected."""
    delay = SHORTEST_DELAY
    while True:
        try:
            await adapter.run()
            return
        except Exception:
            log.exception("surface stopped", surface=adapter.name, again_in=delay)
        await asyncio.sleep(delay)
        delay = min(LONGEST_DELAY, 2 * delay)


@asynccontextmanager
async def stop_signal(failed: asyncio.Event) -> AsyncIterator[asyncio.Event]:
    """Yield an event that `failed`, SIGINT or SIGTERM sets; a second signal ends the process at once."""
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


def control_models(settings: ControlSettings) -> dict[str, ControlMaker]:
    """Return the models that make control pictures, by kind."""
    named = {"depth": settings.depth_model, "pose": settings.pose_model}
    return {kind: ProcessControlMaker(kind, model) for kind, model in named.items() if model}
