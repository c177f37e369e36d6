"""Slack as one more surface: keeps the connection up and brings the jobs' messages to it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import structlog
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings

from bot.adapters import connections
from bot.adapters.base import MessageRef
from bot.adapters.slack import installations, manifest
from bot.adapters.slack.client import Client
from bot.adapters.slack.errors import FAILURES, code_of, is_token
from bot.adapters.slack.http_server import INSTALL, REDIRECT, RequestGuard, SlackServer
from bot.adapters.slack.installations import SealedInstallations, SealedStates
from bot.adapters.slack.settings import SlackSettings
from bot.adapters.slack.workspaces import SLACK_API, Workspaces
from bot.easel import Easel
from bot.errors import SettingError, TryLater
from bot.messages.types import Card
from bot.models import Job

log = structlog.stdlib.get_logger(__name__)

SHORTEST_DELAY, LONGEST_DELAY = 1.0, 300.0  # seconds between two attempts to connect
PING_SECONDS = 5.0  # between two looks whether the connection lives
LOST_SECONDS = 60.0  # without a connection, after which it is built anew
CALL_SECONDS = 30.0  # that a call of Slack's Web API gets
STOP_SECONDS = 2.0  # what requests get to end in

_REFUSED = "Slack does not accept {}: copy it again from the app's page and restart. Everything else goes on."
_NO_WAY_IN = (
    "Slack has no way in: set SLACK_APP_TOKEN for Socket Mode, or SLACK_SIGNING_SECRET for HTTP mode. "
    "Everything else goes on."
)
_NO_OAUTH = (
    "SLACK_CLIENT_ID needs SLACK_CLIENT_SECRET and SLACK_TOKEN_KEYS beside it; `python -m bot slack key` "
    "makes a key. Everything else goes on."
)


class SlackAdapter:
    """An app in workspaces: by Socket Mode, or by signed requests. Implements ChatAdapter."""

    name = "slack"
    edit_interval = 3.0  # seconds; a workspace takes about 50 edits a minute from all messages together

    def __init__(self, easel: Easel, settings: SlackSettings, *, base_url: str = SLACK_API) -> None:
        self._easel = easel
        easel.speech.draws_marks(self.name)
        self._settings = settings
        self._base_url = base_url
        self._client: Client | None = None
        self.port = 0  # of the HTTP mode's site, once it is open
        self.connected = False  # events reach Easel now

    async def run(self) -> None:
        """Stay connected until cancelled; return when Slack refuses a token."""
        connector = aiohttp.TCPConnector(limit=0)  # each workspace has a limit of its own
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)  # the library's own does not reach our session
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            try:
                await self._serve(session)
            except* SettingError as group:
                log.error(str(group.exceptions[0]))
            finally:
                client, self._client = self._client, None
                self.connected = False
                if client:
                    await client.close()

    async def post(self, job: Job, card: Card) -> MessageRef:
        return await self._ready().delivery.post(job, card)

    async def edit(self, job: Job, ref: MessageRef, card: Card) -> MessageRef:
        return await self._ready().delivery.edit(job, ref, card)

    async def tell(self, job: Job, ref: MessageRef | None, card: Card) -> MessageRef:
        return await self._ready().delivery.tell(job, ref, card)

    async def clear(self, job: Job, ref: MessageRef, card: Card) -> None:
        await self._ready().delivery.clear(job, ref, card)

    async def adult(self, job: Job) -> bool:
        """Return False: Slack knows no age-restricted channels."""
        return False

    async def announce(self, tenant: str, channel: str, card: Card) -> None:
        await self._ready().delivery.announce(tenant.removeprefix("slack:"), channel, card)

    async def display(
        self, tenant: str, channel: str, card: Card, ref: MessageRef | None, key: str
    ) -> MessageRef:
        delivery = self._ready().delivery
        return await delivery.display(tenant.removeprefix("slack:"), channel, card, ref)

    async def closed(self, job: Job) -> bool | None:
        """Tell whether the channel that a job was asked in is private now; None where Slack does not tell."""
        return await self._client.closed(job) if self._client else None

    def _ready(self) -> Client:
        if self._client is None:
            raise TryLater("Slack is not connected", after=1.0)
        return self._client

    # ---- connecting

    async def _serve(self, session: aiohttp.ClientSession) -> None:
        settings = self._settings
        by_socket = bool(settings.slack_app_token)
        if not by_socket and not settings.slack_signing_secret:
            raise SettingError(_NO_WAY_IN)
        kept = self._installations()
        workspaces = Workspaces(session, self._base_url, kept)
        if kept:
            log.info("Slack is open to workspaces", installations=await kept.rotate())
        else:
            await self._sign_in(workspaces)
        flow = self._flow(kept, workspaces) if kept else None
        client = Client(self._easel, settings, workspaces, session, installations=kept, flow=flow)
        self._client = client
        client.came_back()
        async with asyncio.TaskGroup() as group:
            if by_socket:
                group.create_task(self._stay_connected(client))
            if flow or not by_socket:
                group.create_task(self._stay_open(client, flow, takes_events=not by_socket))

    async def _sign_in(self, workspaces: Workspaces) -> None:
        """Sign in, and wait for Slack as long as it takes. Raises SettingError when the token is refused."""
        delay = SHORTEST_DELAY
        while True:
            try:
                await workspaces.sign_in(self._settings.slack_bot_token.reveal())
                return
            except FAILURES as error:
                if is_token(error):
                    raise SettingError(_REFUSED.format("SLACK_BOT_TOKEN")) from error
                log.warning("Slack is not connected", cause=code_of(error), again_in=delay)
            await asyncio.sleep(delay)
            delay = min(LONGEST_DELAY, 2 * delay)

    async def _stay_connected(self, client: Client) -> None:
        """Keep Socket Mode connected: the library connects again; what it gave up is built anew."""
        delay = SHORTEST_DELAY
        while True:
            async with self._socket(client) as connected:
                if connected:
                    log.info("Slack is connected")
                    self.connected = True
                    delay = SHORTEST_DELAY
                    await self._watch(connected)
            self.connected = False
            log.warning("Slack is not connected", again_in=delay)
            await asyncio.sleep(delay)
            delay = min(LONGEST_DELAY, 2 * delay)

    @asynccontextmanager
    async def _socket(self, client: Client) -> AsyncIterator[AsyncSocketModeHandler | None]:
        """Open a connection and yield its handler; None where Slack is not reached. Raises SettingError."""
        token = self._settings.slack_app_token.reveal()
        handler = AsyncSocketModeHandler(client.app, token, ping_interval=PING_SECONDS)
        try:
            try:
                # Asked for here, because the library asks for ever, also with a token that is refused.
                opened = await client.app.client.apps_connections_open(app_token=token)
                handler.client.wss_uri = opened["url"]
                async with asyncio.timeout(LOST_SECONDS):
                    await handler.client.connect()  # type: ignore[no-untyped-call]
            except FAILURES as error:
                if is_token(error):
                    raise SettingError(_REFUSED.format("SLACK_APP_TOKEN")) from error
                yield None
            else:
                yield handler
        finally:
            await handler.client.close()  # type: ignore[no-untyped-call]

    async def _watch(self, handler: AsyncSocketModeHandler) -> None:
        """Return when the connection was away for too long."""
        loop = asyncio.get_running_loop()
        seen = loop.time()
        while loop.time() - seen < LOST_SECONDS:
            await asyncio.sleep(PING_SECONDS)
            self.connected = await handler.client.is_connected()
            if self.connected:
                seen = loop.time()

    async def _stay_open(self, client: Client, flow: AsyncOAuthFlow | None, *, takes_events: bool) -> None:
        """Serve HTTP mode and the installation's pages. Raises SettingError when the port is taken."""
        guard = RequestGuard(self._settings.slack_signing_secret) if takes_events else None
        site = SlackServer(client.app, guard, flow).application()
        runner = connections.runner(site, stop_seconds=STOP_SECONDS)
        await runner.setup()
        host, port = self._settings.slack_http_host, self._settings.slack_http_port
        server: asyncio.Server | None = None
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listening = socket.create_server((host, port), family=family, backlog=128)
            self.port = listening.getsockname()[1]
            # All comes through the proxy that stands in front, so no address is one client's.
            server = await connections.serve(runner, listening, trusts=lambda address: True)
            self.connected = self.connected or takes_events
            log.info("Slack may send requests", host=host, port=self.port)
            await asyncio.Event().wait()
        except OSError as error:
            raise SettingError(
                f"Slack's site cannot listen on {host}:{port}: set SLACK_HTTP_PORT."
            ) from error
        finally:
            if server:
                server.close()
            await runner.cleanup()

    # ---- many workspaces

    def _installations(self) -> SealedInstallations | None:
        if not self._settings.slack_client_id:
            return None
        if not (self._settings.slack_client_secret and self._settings.slack_token_keys):
            raise SettingError(_NO_OAUTH)
        keys = installations.vault(self._settings.slack_token_keys)
        return SealedInstallations(self._easel.installations, keys)

    def _flow(self, kept: SealedInstallations, workspaces: Workspaces) -> AsyncOAuthFlow:
        url = self._settings.slack_url
        made = AsyncOAuthSettings(
            client_id=self._settings.slack_client_id,
            client_secret=self._settings.slack_client_secret.reveal(),
            scopes=sorted(manifest.SCOPES),
            user_scopes=[],
            redirect_uri=f"{url}{REDIRECT}" if url else None,
            install_path=INSTALL,
            redirect_uri_path=REDIRECT,
            installation_store=kept,
            state_store=SealedStates(installations.vault(self._settings.slack_token_keys)),
        )
        return AsyncOAuthFlow(client=workspaces.talk(), settings=made)
