"""The web studio as one more surface: it serves the page and tells open pages what changed."""

from __future__ import annotations

import asyncio
import errno
import os
import socket

import structlog
from aiohttp import web

from bot.adapters import connections
from bot.adapters.api.adapter import ApiAdapter
from bot.adapters.base import MessageRef
from bot.adapters.web import assets
from bot.adapters.web.admin_pages import AdminPages
from bot.adapters.web.api import Api
from bot.adapters.web.auth import WebAuth, load_key, load_password
from bot.adapters.web.broadcast import Broadcast
from bot.adapters.web.brush import BrushPage
from bot.adapters.web.context import WebContext
from bot.adapters.web.downloads import Downloads
from bot.adapters.web.login_pages import LoginPages
from bot.adapters.web.middleware import add_headers, middlewares
from bot.adapters.web.pages import Pages
from bot.adapters.web.settings import WebSettings
from bot.adapters.web.verifier import Verifier
from bot.adapters.web.views import Views
from bot.easel import Easel
from bot.errors import EaselError
from bot.messages.types import Card
from bot.models import Job
from bot.settings import is_loopback

log = structlog.stdlib.get_logger(__name__)

FORM_BYTES = 256_000  # what a request may carry
STOP_SECONDS = 2.0  # what requests get to end in when the studio stops


class WebAdapter:
    """A page on this machine, or behind a password on the network.

    A message is drawn from its job's row whenever someone looks, so posting and editing only tell the pages
    that are open. Implements ChatAdapter.
    """

    name = "web"
    edit_interval = 0.2  # seconds

    def __init__(self, easel: Easel, settings: WebSettings, api: ApiAdapter | None = None) -> None:
        """Serve the pages, and the API beside them."""
        self._easel = easel
        self._api = api
        self._settings = settings
        self._hub = Broadcast()
        self._socket: socket.socket | None = None
        self._access: WebAuth | None = None

    @property
    def url(self) -> str:
        """Return the page's address. Raises EaselError before `bind`."""
        if self._socket is None:
            raise EaselError("The web studio is not bound to a port yet.")
        host = self._settings.web_host
        port = self._socket.getsockname()[1]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def office(self) -> str:
        """Return a sentence: where the administrator's page and its password are. Known once bound."""
        given = self._settings.web_admin_password
        place = "WEB_ADMIN_PASSWORD" if given else str(self._settings.admin_password_file)
        return f"The administrator's page is {self.url}/admin; its password is stored in {place}"

    def bind(self) -> None:
        """Take the port and the passwords. Raises EaselError when they cannot be had."""
        self._access = _access(self._easel, self._settings)
        host, port = self._settings.web_host, self._settings.web_port
        try:
            self._socket = socket.create_server((host, port), family=_family(host), backlog=128)
        except OSError as error:
            raise EaselError(_sentence(error, host, port)) from error
        if not self._settings.web_url and is_loopback(host):
            self._easel.logins.address = self.url

    def close(self) -> None:
        """Give back a port that was taken and is not served."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def run(self) -> None:
        """Serve until cancelled."""
        if self._socket is None:
            self.bind()
        assert self._socket is not None
        assert self._access is not None
        runner = connections.runner(self.app(), stop_seconds=STOP_SECONDS)
        await runner.setup()
        server: asyncio.Server | None = None
        try:
            server = await connections.serve(runner, self._socket, self._access.trusts)
            log.info("the web studio is open", url=self.url)
            await asyncio.Event().wait()
        finally:
            if server:
                server.close()
            self._hub.close()
            if self._api:
                self._api.close()
            await runner.cleanup()
            self._socket = None

    async def post(self, job: Job, card: Card) -> MessageRef:
        self._hub.publish(job, card)
        return {"job": job.id}

    async def edit(self, job: Job, ref: MessageRef, card: Card) -> MessageRef:
        self._hub.publish(job, card)
        return ref

    async def adult(self, job: Job) -> bool:
        """Return False: pages are open to everyone who may come in."""
        return False

    def app(self) -> web.Application:
        """Build the server's application; `bind` comes first."""
        assert self._access is not None
        files = assets.load()
        site = WebContext(
            easel=self._easel,
            settings=self._settings,
            hub=self._hub,
            access=self._access,
            assets=files,
            views=Views(files, is_open=self._access.open),
            downloads=Downloads(),
        )
        app = web.Application(
            middlewares=middlewares(site),
            client_max_size=FORM_BYTES,  # a picture is taken apart from that
        )
        app.on_response_prepare.append(add_headers)
        app.on_startup.append(lambda _: asyncio.to_thread(site.views.compile))
        for part in (
            LoginPages(site),
            Pages(site),
            Api(site),
            AdminPages(site),
            Verifier(site),
            BrushPage(site),
        ):
            app.add_routes(part.routes())
        if self._api:
            self._api.mount(app)
        return app


def _access(easel: Easel, settings: WebSettings) -> WebAuth:
    given = settings.web_admin_password.reveal()
    password = given or load_password(settings.admin_password_file)
    return WebAuth(easel.logins, settings, password, load_key(settings.data_dir / "web.key"))


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _sentence(error: OSError, host: str, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"Port {port} on {host} is in use: stop the other program, or set WEB_PORT to another port."
            )
        case errno.EACCES:
            return f"Port {port} may not be opened by this user: set WEB_PORT to one above 1023."
    return f"The web studio cannot listen on {host}:{port} ({os.strerror(error.errno or 0)}): check WEB_HOST."
