"""Pictures on their way to Slack and back.

To Slack: an address is asked for, the picture goes there, the upload is completed, and Slack is asked
until it knows what kind of file it is; before that no block may show it. From Slack: a download with the
app's token, so from Slack's own hosts only, and never on to where one of them redirects.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.adapters.slack.workspaces import Workspace, Workspaces
from bot.card import CardPicture
from bot.errors import Refusal, TryLater
from bot.settings import Settings

MAX_ALT = 1000  # characters of a file's alternative text
MOST_KNOWN = 2000  # files whose ids are remembered
USABLE_SECONDS = 20.0  # what Slack gets to look at an upload
AT_ONCE = 4  # uploads of one card
TIMEOUT = aiohttp.ClientTimeout(total=60)

Read = Callable[[str], Awaitable[bytes]]
"""A stored picture by its name; raises KeyError."""


class Files:
    """Uploads each picture once for each workspace, and downloads what people send."""

    def __init__(
        self, workspaces: Workspaces, session: aiohttp.ClientSession, read: Read, settings: Settings
    ) -> None:
        self._workspaces = workspaces
        self._session = session
        self._read = read
        self._most = settings.max_source_mb
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._at_once = asyncio.Semaphore(AT_ONCE)

    # ---- to Slack

    async def show(
        self, workspace: Workspace, pictures: Iterable[CardPicture], name: str = "easel"
    ) -> dict[str, str]:
        """Blob → file id, for pictures that may be shown from now on. A picture that is gone is left out.

        Raises SlackApiError, TryLater, StoreError.
        """
        wanted = list({each.blob: each for each in pictures}.values())
        made = await asyncio.gather(*(self._file(workspace, each, name) for each in wanted))
        return {each.blob: file for each, file in zip(wanted, made, strict=True) if file}

    async def send(self, workspace: Workspace, channel: str, name: str, content: bytes) -> None:
        """Share a file in a channel. Raises SlackApiError, TryLater."""
        async with self._at_once:
            await self._upload(self._workspaces.talk(workspace.token), name, content, channel=channel)

    def know(self, workspace: Workspace, files: dict[str, str]) -> None:
        """Files of an earlier message, to be used again."""
        for blob, file in files.items():
            self._known[(workspace.team, blob)] = file
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    def forget(self, workspace: Workspace, files: Iterable[str]) -> None:
        """Files that Slack does not show (any more)."""
        for blob in files:
            self._known.pop((workspace.team, blob), None)

    async def _file(self, workspace: Workspace, picture: CardPicture, name: str) -> str:
        if found := self._known.get((workspace.team, picture.blob)):
            return found
        try:
            content = await self._read(picture.blob)
        except KeyError:
            return ""
        async with self._at_once:
            client = self._workspaces.talk(workspace.token)
            file = await self._upload(client, f"{name}.png", content, picture.alt[:MAX_ALT])
            await self._usable(client, file)
        self.know(workspace, {picture.blob: file})
        return file

    async def _upload(
        self, client: AsyncWebClient, name: str, content: bytes, alt: str = "", channel: str = ""
    ) -> str:
        place = await client.files_getUploadURLExternal(
            filename=name, length=len(content), alt_txt=alt or None
        )
        if not self._workspaces.is_slack(place["upload_url"]):
            raise TryLater("Slack named an address to upload to that is not its own")
        async with self._session.post(
            place["upload_url"], data=content, allow_redirects=False, timeout=TIMEOUT
        ) as answer:
            if answer.status != 200:
                raise TryLater(f"an upload was answered {answer.status}")
        file = {"id": place["file_id"], "title": name}
        await client.files_completeUploadExternal(files=[file], channel_id=channel or None)
        return str(place["file_id"])

    async def _usable(self, client: AsyncWebClient, file: str) -> None:
        """Wait until Slack has looked at the file."""
        deadline, pause = time.monotonic() + USABLE_SECONDS, 0.1
        while not (await client.files_info(file=file))["file"].get("mimetype"):
            if time.monotonic() > deadline:
                raise TryLater("Slack has not looked at an upload yet")
            await asyncio.sleep(pause)
            pause = min(2.0, 2 * pause)

    # ---- from Slack

    async def fetch(self, workspace: Workspace, file: dict[str, Any]) -> bytes:
        """A file's content. `file` as Slack describes it; only its id is needed. Raises Refusal."""
        if not file.get("url_private"):
            client = self._workspaces.talk(workspace.token, patient=True)
            file = (await client.files_info(file=file["id"]))["file"]
        self._check_size(int(file.get("size") or 0))
        url = file.get("url_private_download") or file.get("url_private") or ""
        if not self._workspaces.is_slack(url):
            notice = "That file lies outside of Slack, so Easel does not fetch it. Upload the picture itself."
            raise Refusal(notice, code="source")
        try:
            return await self._download(url, workspace.token)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            notice = "The picture could not be fetched from Slack. Send it again."
            raise Refusal(notice, code="source") from error

    async def _download(self, url: str, token: str) -> bytes:
        headers = {"Authorization": f"Bearer {token}"}
        async with self._session.get(url, headers=headers, allow_redirects=False, timeout=TIMEOUT) as answer:
            if answer.status != 200 or answer.content_type == "text/html":  # a page to log in on
                raise Refusal("Slack does not let Easel read that file. Upload it here anew.", code="source")
            content = bytearray()
            async for part in answer.content.iter_chunked(1 << 16):
                content += part
                self._check_size(len(content))
            return bytes(content)

    def _check_size(self, size: int) -> None:
        if size > self._most * 1_000_000:
            megabytes = -(-size // 1_000_000)
            notice = f"The source picture has {megabytes} MB; at most {self._most} MB are taken."
            raise Refusal(f"{notice} Send a smaller one.", code="source")


def picture_in(message: Any) -> dict[str, Any] | None:
    """The first picture that was sent with a message."""
    files = message.get("files") or ()
    return next((each for each in files if str(each.get("mimetype", "")).startswith("image/")), None)
