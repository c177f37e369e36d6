"""The API as one more surface: programs ask by a person's key, and wait for the end of the job.

A job's message is the connection that waits for it. Where nobody waits any more the job goes on, and whoever
asks again with the same Idempotency-Key waits for the same job.
"""

from __future__ import annotations

import ipaddress
from functools import cached_property

from aiohttp import web

from bot.adapters.api import answers
from bot.adapters.api.answers import LinkSigner
from bot.adapters.api.bodies import Bodies
from bot.adapters.api.errors import errors
from bot.adapters.api.handlers import Handlers
from bot.adapters.api.settings import ApiSettings
from bot.adapters.api.watching import Watchers
from bot.adapters.api.webhooks import Webhooks
from bot.adapters.base import MessageRef
from bot.adapters.web.auth import load_key
from bot.attempts import Attempts
from bot.easel import Easel
from bot.messages.types import Card
from bot.models import Job


class ApiAdapter:
    """Serves on the web studio's port. Implements ChatAdapter."""

    name = "api"
    edit_interval = 0.2  # seconds

    def __init__(self, easel: Easel, settings: ApiSettings) -> None:
        self._easel = easel
        self._settings = settings
        self._watchers = Watchers()

    async def run(self) -> None:
        """Return at once: the web studio serves it."""

    async def post(self, job: Job, card: Card) -> MessageRef:
        await self._tell(job, card)
        return {"job": job.id}

    async def edit(self, job: Job, ref: MessageRef, card: Card) -> MessageRef:
        await self._tell(job, card)
        return ref

    async def adult(self, job: Job) -> bool:
        """Return False: nobody knows who looks at what a program was handed."""
        return False

    async def _tell(self, job: Job, card: Card) -> None:
        """Tell whoever waits, and the webhook of a job that has ended. Raises TryLater, Unreachable."""
        self._watchers.tell(job, card)
        if job.state.ended and (url := job.origin.reply.get("webhook")):
            told = answers.job(job, self._links, self._settings.web_url or self._easel.logins.address)
            await self._webhooks.tell(str(url), str(job.origin.reply.get("key")), job, told)

    @cached_property
    def _links(self) -> LinkSigner:
        return LinkSigner(load_key(self._settings.data_dir / "web.key"))

    @cached_property
    def _webhooks(self) -> Webhooks:
        allowed = tuple(map(ipaddress.ip_network, self._settings.api_webhook_networks))
        return Webhooks(self._links.key, allowed)

    def mount(self, app: web.Application) -> None:
        """Add the API to the web studio's application, unless it is switched off."""
        if not self._settings.api_requests:
            return
        self._watchers = Watchers()
        handlers = Handlers(
            easel=self._easel,
            settings=self._settings,
            watchers=self._watchers,
            bodies=Bodies(self._settings.data_dir, self._settings.max_source_bytes),
            links=self._links,
            webhooks=self._webhooks,
            rate=Attempts(self._settings.api_requests, 60.0),
        )
        app.middlewares.append(errors)
        app.add_routes(handlers.routes())

    def close(self) -> None:
        """End what waits; the jobs go on."""
        self._watchers.close()
