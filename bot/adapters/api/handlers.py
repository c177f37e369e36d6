"""What programs ask for: images, edits, models, and the documents that tell how."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from aiohttp import web

from bot import telemetry
from bot.accounts.api_keys import PREFIX
from bot.adapters.api import answers, fields, openapi
from bot.adapters.api.answers import LinkSigner
from bot.adapters.api.bodies import Bodies, SentFiles
from bot.adapters.api.errors import AGAIN, ApiError, as_told
from bot.adapters.api.fields import Wanted
from bot.adapters.api.settings import ApiSettings
from bot.adapters.api.watching import Watch, Watchers
from bot.adapters.api.webhooks import Webhooks
from bot.adapters.base import Receipt
from bot.adapters.web.parsing import language
from bot.attempts import Attempts
from bot.easel import Easel
from bot.errors import EaselError, Refusal
from bot.i18n import _
from bot.images import pictures
from bot.messages.types import Card
from bot.models import ApiKey, Job, Origin, State
from bot.moderation.images import Withheld
from engine.types import ModelInfo

CHANNEL = "api"
LOOK_AGAIN = 0.5  # seconds after which a key that waits must still be good
HEARTBEAT = 10.0  # seconds between two comments that keep a line open
MOST_KEY = 255  # characters of an Idempotency-Key

Kind = Literal["image_generation", "image_edit"]
"""Begins the names of a stream's events."""


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One request that a job was accepted for."""

    request: web.Request
    key: ApiKey
    wanted: Wanted
    origin: Origin
    job: Job
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    easel: Easel
    settings: ApiSettings
    watchers: Watchers
    bodies: Bodies
    links: LinkSigner
    rate: Attempts
    webhooks: Webhooks

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/images/generations", self.generate),
            web.post("/v1/images/edits", self.edit),
            web.post("/v1/jobs", self.create_job),
            web.get("/v1/jobs/{job}", self.job),
            web.delete("/v1/jobs/{job}", self.cancel_job),
            web.get("/v1/models", self.models),
            web.get("/v1/models/{model:.+}", self.model),
            web.get("/v1/files/{token}", self.file, allow_head=True),
            web.get("/v1/openapi.json", self.document),
            web.get("/v1/docs", self.docs),
        ]

    # ---- images

    async def generate(self, request: web.Request) -> web.StreamResponse:
        return await self._answered(request, "image_generation")

    async def edit(self, request: web.Request) -> web.StreamResponse:
        return await self._answered(request, "image_edit")

    async def _answered(self, request: web.Request, kind: Kind) -> web.StreamResponse:
        key = await self._key(request, "images", "relaxed")
        with telemetry.ACKNOWLEDGED.labels("api").time():
            call = await self._accepted(request, key, kind, edits=kind == "image_edit")
        with self.watchers.watch(call.job.id) as watch:
            try:
                return await (self._streamed(call, watch) if call.wanted.stream else self._whole(call, watch))
            except ConnectionError:
                await self._left(call)
                raise

    async def _accepted(
        self, request: web.Request, key: ApiKey, kind: Kind, *, edits: bool | None
    ) -> ApiCall:
        """Read the request and have its job admitted; refusals are audited. Raises ApiError, Refusal."""
        try:
            return await self._admitted(request, key, kind, edits=edits)
        except Refusal as error:
            await self.easel.api_keys.refused(key, error.code)
            raise

    async def _admitted(
        self, request: web.Request, key: ApiKey, kind: Kind, *, edits: bool | None
    ) -> ApiCall:
        async with self.bodies.values(request) as (values, files):
            relaxed = key.scope == "relaxed"
            wanted = fields.read(values, files.images, files.mask, edits=edits, relaxed=relaxed)
            if files.mask:
                wanted.options.update(await _masked(files))
            if wanted.webhook:
                await self.webhooks.check(wanted.webhook)
            origin = self._origin(request, key, wanted)
            answer = await self.easel.router.handle("imagine", wanted.options, origin)
        wanted.options.clear()  # an image need not stay in memory while the job waits
        if not isinstance(answer, Receipt):
            raise ApiError(400, _("One request makes one job. Leave --repeat out."), param="prompt")
        if answer.job.origin.reply.get("body") != wanted.digest:
            text = _("This Idempotency-Key was used for another request. Take a new one.")
            raise ApiError(409, text, code="idempotency_key_reused")
        return ApiCall(request, key, wanted, origin, answer.job, kind)

    def _origin(self, request: web.Request, key: ApiKey, wanted: Wanted) -> Origin:
        return Origin(
            surface="api",
            member=key.member,
            channel=CHANNEL,
            event=f"{key.id}:{_event(request)}",
            reply={
                "body": wanted.digest,
                "user": wanted.user,
                "webhook": wanted.webhook,
                "key": key.id,
            },
            language=language(request),
            direct=":dm:" in key.member.tenant,
        )

    async def _whole(self, call: ApiCall, watch: Watch) -> web.Response:
        async def wait(card: Card | None) -> None:
            """Say nothing: JSON comes whole."""

        job = await self._ended(call, watch, wait)
        images = [await answers.image(job, each) for each in await self._images(call, job)]
        return web.json_response(
            answers.response(job, call.wanted, images), headers={"Cache-Control": "no-store"}
        )

    async def _streamed(self, call: ApiCall, watch: Watch) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        response.content_type = "text/event-stream"
        await response.prepare(call.request)
        await response.write(f": job {call.job.id}\n\n".encode())
        previews = _Previews(call, response)
        try:
            job = await self._ended(call, watch, previews.tell)
            more = {"usage": answers.usage(), "easel": answers.about(job, call.wanted)}
            for data in await self._files(call, job):
                b64 = await answers.encoded(data)
                kind = f"{call.kind}.completed"
                await response.write(answers.event(kind, job, b64, call.wanted.format, **more))
        except (ApiError, EaselError) as error:
            told = error if isinstance(error, ApiError) else as_told(error)
            body = told.told(call.origin.language or "en")
            await response.write(answers.frame("error", {"type": "error", **body}))
        await response.write_eof()
        return response

    async def _ended(
        self, call: ApiCall, watch: Watch, tell: Callable[[Card | None], Awaitable[None]]
    ) -> Job:
        """Wait for the job's end, and tell of what is new. Raises ApiError, ConnectionResetError."""
        job, looked = await self._job(call), time.monotonic()
        while not job.state.ended:
            new = await watch.news(LOOK_AGAIN)
            if watch.closed:
                text = _("Easel is stopping. Your job goes on: ask again with the same Idempotency-Key.")
                raise ApiError(503, text, code="busy", retry=AGAIN)
            if call.request.transport is None or call.request.transport.is_closing():
                raise ConnectionResetError
            if time.monotonic() - looked >= LOOK_AGAIN:
                looked = time.monotonic()
                if not await self.easel.api_keys.still(call.key):
                    raise _unknown_key()
            if watch.ended:
                job = await self._job(call)
            else:
                await tell(watch.card if new else None)
        return _well_ended(job)

    async def _job(self, call: ApiCall) -> Job:
        return await self.easel.visibility.job(call.job.id, call.key.member, (CHANNEL,))

    async def _left(self, call: ApiCall) -> None:
        """Do what the request wants done when its program goes away."""
        if call.wanted.cancels:
            with suppress(Refusal):  # it has just ended
                await self.easel.router.handle("cancel", {"job": call.job.id}, call.origin)

    async def _images(self, call: ApiCall, job: Job) -> list[bytes] | list[str]:
        """Return the images' files, or their addresses."""
        if not call.wanted.by_url:
            return await self._files(call, job)
        base, format = self._base(call.request), call.wanted.format
        return [self.links.address(base, job.id, each.index, format) for each in job.singles]

    def _base(self, request: web.Request) -> str:
        """Return what addresses of images begin with."""
        return self.settings.web_url or str(request.url.origin())

    async def _files(self, call: ApiCall, job: Job) -> list[bytes]:
        return [await self._file(each.blob, call.wanted.format, call.wanted.quality) for each in job.singles]

    async def _file(self, blob: str, format: fields.Format, quality: int = 100) -> bytes:
        try:
            return await self.easel.images.converted(blob, fields.MEDIA[format], quality)
        except KeyError as error:
            raise ApiError(410, _("An image of this job is gone."), code="deleted") from error

    async def file(self, request: web.Request) -> web.Response:
        """Show an image to whoever has its address."""
        asked = self.links.read(request.match_info["token"])
        found = await self.easel.api_keys.picture(*asked[:2]) if asked else None
        if asked is None or found is None:
            raise ApiError(404, _("This address has expired, or its image was deleted."), code="expired")
        data = await self._file(found[1].blob, asked[2])
        return web.Response(
            body=data, content_type=fields.MEDIA[asked[2]], headers={"Cache-Control": "private, max-age=600"}
        )

    # ---- jobs, for programs that do not wait

    async def create_job(self, request: web.Request) -> web.Response:
        """Accept a job and answer at once."""
        key = await self._key(request, "images", "relaxed")
        with telemetry.ACKNOWLEDGED.labels("api").time():
            call = await self._accepted(request, key, "image_generation", edits=None)
        secret = {"webhook_secret": self.webhooks.secret(key.id)} if call.wanted.webhook else {}
        return self._job_told(request, await self._job(call), status=202, **secret)

    async def job(self, request: web.Request) -> web.Response:
        key = await self._key(request, "images", "relaxed")
        return self._job_told(request, await self._own(request, key))

    async def cancel_job(self, request: web.Request) -> web.Response:
        key = await self._key(request, "images", "relaxed")
        job = await self._own(request, key)
        with suppress(Refusal):  # it has ended
            await self.easel.router.handle("cancel", {"job": job.id}, replace(job.origin, event=""))
        return self._job_told(request, await self._own(request, key))

    async def _own(self, request: web.Request, key: ApiKey) -> Job:
        """Return a job of the key's person that was asked for by the API. Raises ApiError, Refusal."""
        job = await self.easel.visibility.job(request.match_info["job"], key.member, (CHANNEL,))
        if job.origin.surface != "api" or not await self.easel.visibility.owns(job, key.member):
            raise ApiError(404, _("There is no such job of yours."), code="unknown")
        return job

    def _job_told(self, request: web.Request, job: Job, *, status: int = 200, **more: str) -> web.Response:
        told = {**answers.job(job, self.links, self._base(request)), **more}
        return web.json_response(told, status=status, headers={"Cache-Control": "no-store"})

    # ---- models

    async def models(self, request: web.Request) -> web.Response:
        found = await self._models(await self._key(request, "images", "relaxed", "models"))
        return web.json_response({"object": "list", "data": [_told(each) for each in found]})

    async def model(self, request: web.Request) -> web.Response:
        found = await self._models(await self._key(request, "images", "relaxed", "models"))
        named = request.match_info["model"]
        for each in found:
            if each.name.casefold() == named.casefold():
                return web.json_response(_told(each))
        raise ApiError(404, _("There is no such model. /v1/models lists them."), code="model_not_found")

    async def _models(self, key: ApiKey) -> list[ModelInfo]:
        rules = await self.easel.access.rules(key.member)
        rules.check_person()
        return list(self.easel.access.models(rules))

    # ---- documents

    async def document(self, request: web.Request) -> web.Response:
        return web.json_response(openapi.document())

    async def docs(self, request: web.Request) -> web.Response:
        return web.Response(text=openapi.page(), content_type="text/html")

    # ---- keys

    async def _key(self, request: web.Request, *scopes: str) -> ApiKey:
        """Return the key that the request was sent with. Raises ApiError."""
        if PREFIX in request.raw_path:
            text = _(
                "A key does not belong in an address, which gets logged: revoke it, and send the next one "
                "as “Authorization: Bearer …”."
            )
            raise ApiError(401, text, code="key_in_url")
        scheme, _space, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.casefold() != "bearer" or not secret.strip():
            raise ApiError(
                401, _("Send a key as “Authorization: Bearer …”; /api create makes one."), code="no_api_key"
            )
        key = await self.easel.api_keys.holder(secret.strip())
        if key is None:
            await self.easel.api_keys.refused(None, "unknown")
            raise _unknown_key()
        if wait := self.rate.wait(key.id):
            text = _("This key may make {most} requests a minute.", most=self.settings.api_requests)
            raise ApiError(429, text, code="rate_limit_exceeded", retry=int(wait) + 1)
        self.rate.note(key.id)
        if key.scope not in scopes:
            await self.easel.api_keys.refused(key, "scope")
            text = _("This key may only look at models. /api create makes one for images.")
            raise ApiError(403, text, code="scope")
        return key


class _Previews:
    """Sends what a stream tells while its job lives: previews, spread over it, and comments."""

    def __init__(self, call: ApiCall, response: web.StreamResponse) -> None:
        self._call, self._response = call, response
        self._sent = 0
        self._last = b""
        self._spoke = time.monotonic()

    async def tell(self, card: Card | None) -> None:
        if card and (preview := self._due(card)):
            self._last = preview
            wanted = self._call.wanted
            data = await pictures.preview(preview, fields.MEDIA[wanted.format])
            kind, b64 = f"{self._call.kind}.partial_image", await answers.encoded(data)
            more = {"partial_image_index": self._sent}
            self._sent += 1
            await self._write(answers.event(kind, self._call.job, b64, wanted.format, **more))
        elif time.monotonic() - self._spoke >= HEARTBEAT:
            await self._write(b": waiting\n\n")

    def _due(self, card: Card) -> bytes:
        """Return the preview that is to be sent now; empty where none is."""
        most = self._call.wanted.partial_images
        if self._sent >= most or card.bar is None or card.adult:
            return b""
        shown = next((each.preview for each in card.pictures if each.preview), b"")
        return shown if shown != self._last and card.bar.done >= self._sent / most else b""

    async def _write(self, data: bytes) -> None:
        await self._response.write(data)
        self._spoke = time.monotonic()


async def _masked(files: SentFiles) -> dict[str, bytes]:
    """Return the source and the mask of an edit as options of /imagine. Raises ApiError."""
    try:
        mask, source = await pictures.open_mask(files.mask, files.images[0])
    except Refusal as refusal:
        raise ApiError(400, refusal.notice, code="invalid_value", param="mask") from refusal
    return {"source": source, "mask": mask}


def _event(request: web.Request) -> str:
    """Return what names the request for ever: its Idempotency-Key, else a random number."""
    given = request.headers.get("Idempotency-Key", "")
    if len(given) > MOST_KEY:
        text = _("An Idempotency-Key has at most {most} characters.", most=MOST_KEY)
        raise ApiError(400, text, code="invalid_value")
    return hashlib.sha256(given.encode("utf-8", "replace")).hexdigest() if given else secrets.token_hex(16)


def _well_ended(job: Job) -> Job:
    """Return a job that has images to show. Raises ApiError for any other."""
    match job.state:
        case State.RENDERED if not any(each.adult for each in job.singles):
            return job
        case State.RENDERED:
            text = _("These images are shown only in age-restricted channels, and this channel is not one.")
            raise ApiError(400, text, code="moderation_blocked")
        case State.FAILED if job.reason == Withheld.advice:
            raise ApiError(400, job.reason, code="moderation_blocked")
        case State.FAILED:
            raise ApiError(500, job.reason, code="generation_failed")
    raise ApiError(400, job.reason or _("The job was cancelled. Nothing was charged."), code="cancelled")


def _unknown_key() -> ApiError:
    text = _("This key is unknown or was revoked. /api create makes another.")
    return ApiError(401, text, code="invalid_api_key")


def _told(model: ModelInfo) -> dict[str, object]:
    return {
        "id": model.name,
        "object": "model",
        "created": 0,
        "owned_by": "easel",
        "title": model.title,
        "licence": model.licence,
    }
