"""Pictures on their way to Slack and back.

To Slack: an address is asked for, the picture goes there, the upload is completed, and Slack is asked
until it knows what kind of file it is; before that no block may show it. That may take minutes, so the file's
id is kept: it is waited for, not uploaded again. From Slack: a download with the
app's token, so from Slack's own hosts only, and never on to where one of them redirects.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.adapters.slack.errors import UNSETTLED, code_of
from bot.adapters.slack.workspaces import Workspace, Workspaces
from bot.errors import DeliveryError, Refusal, TryLater
from bot.i18n import _
from bot.images import pictures
from bot.messages.types import CardPicture

MAX_ALT = 1000  # characters of a file's alternative text
MOST_KNOWN = 2000  # files whose ids are remembered
LOOK_SECONDS = 5.0  # that somebody waits for Slack to look at an upload, before they are told that it does
USABLE_SECONDS = 600.0  # what Slack gets to look at an upload
AT_ONCE = 4  # uploads to one workspace, and downloads from it
AGAIN = (0.2, 1.0, 2.0)  # seconds before an upload is completed once more
TIMEOUT = aiohttp.ClientTimeout(total=60)

Read = Callable[[str], Awaitable[bytes]]
"""A stored picture by its name; raises KeyError."""


class Preparing(TryLater):
    """The pictures are uploaded, and Slack has not looked at them yet."""


class UnusableFile(DeliveryError):
    """Slack never came to show an upload."""


class Files:
    """Uploads each picture once for each workspace, and downloads what people send."""

    def __init__(self, workspaces: Workspaces, session: aiohttp.ClientSession, read: Read) -> None:
        self._workspaces = workspaces
        self._session = session
        self._read = read
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._waiting: dict[tuple[str, str], tuple[str, float]] = {}  # the file's id, and since when
        self._busy: dict[tuple[str, str], asyncio.Task[str]] = {}
        self._rooms: dict[str, asyncio.Semaphore] = {}

    # ---- to Slack

    async def show(
        self, workspace: Workspace, shown: Iterable[CardPicture], name: str = "easel"
    ) -> dict[str, str]:
        """Return blob → file id for pictures, once they can be shown. A picture that is gone is left out.

        Raises SlackApiError, Preparing, TryLater, Unusable, StoreError.
        """
        wanted = list({each.blob: each for each in shown}.values())
        made = await asyncio.gather(*(self._file(workspace, each, name) for each in wanted))
        return {each.blob: file for each, file in zip(wanted, made, strict=True) if file}

    async def send(self, workspace: Workspace, channel: str, name: str, content: bytes) -> None:
        """Share a file in a channel. Raises SlackApiError, TryLater."""
        async with self._room(workspace):
            await self._upload(
                self._workspaces.talk(workspace.token, team=workspace.team), name, content, channel=channel
            )

    def know(self, workspace: Workspace, files: dict[str, str]) -> None:
        """Remember files of an earlier message, to use them again."""
        for blob, file in files.items():
            self._known[(workspace.team, blob)] = file
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    def forget(self, workspace: Workspace, files: Iterable[str]) -> None:
        """Forget files that Slack does not show (any more)."""
        for blob in files:
            self._known.pop((workspace.team, blob), None)

    async def close(self) -> None:
        """Let go of uploads that nobody waits for any more."""
        tasks = list(self._busy.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _file(self, workspace: Workspace, picture: CardPicture, name: str) -> str:
        """Return a picture's file; concurrent calls for the same picture wait for one upload."""
        key = (workspace.team, picture.blob)
        if found := self._known.get(key):
            return found
        if (task := self._busy.get(key)) is None:
            task = self._busy[key] = asyncio.create_task(self._made(workspace, picture, name))
            task.add_done_callback(lambda _: self._busy.pop(key, None))
        return await asyncio.shield(task)

    async def _made(self, workspace: Workspace, picture: CardPicture, name: str) -> str:
        key, client = (
            (workspace.team, picture.blob),
            self._workspaces.talk(workspace.token, team=workspace.team),
        )
        if key not in self._waiting:
            try:
                content = await self._read(picture.blob)
            except KeyError:
                return ""
            async with self._room(workspace):
                file = await self._upload(
                    client, f"{picture.name or name}.png", content, picture.alt[:MAX_ALT]
                )
            self._waiting[key] = (file, time.monotonic())
        file, since = self._waiting[key]
        try:
            await self._usable(client, file, since)
        except (UnusableFile, SlackApiError) as error:
            if isinstance(error, UnusableFile) or code_of(error) in ("file_deleted", "file_not_found"):
                self._waiting.pop(key, None)  # the next attempt uploads it anew
            raise
        self._waiting.pop(key, None)
        self.know(workspace, {picture.blob: file})
        return file

    def _room(self, workspace: Workspace) -> asyncio.Semaphore:
        return self._rooms.setdefault(workspace.team, asyncio.Semaphore(AT_ONCE))

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
        await self._complete(client, {"id": place["file_id"], "title": name}, channel)
        return str(place["file_id"])

    async def _complete(self, client: AsyncWebClient, file: dict[str, str | None], channel: str) -> None:
        """Complete an upload; try again while Slack does not know the new file yet."""
        for pause in AGAIN:
            try:
                await client.files_completeUploadExternal(files=[file], channel_id=channel or None)
                return
            except SlackApiError as error:
                if code_of(error) not in UNSETTLED:
                    raise
            await asyncio.sleep(pause)
        await client.files_completeUploadExternal(files=[file], channel_id=channel or None)

    async def _usable(self, client: AsyncWebClient, file: str, since: float) -> None:
        """Wait until Slack has looked at the file. Raises Preparing, Unusable, SlackApiError."""
        deadline, pause = time.monotonic() + LOOK_SECONDS, 0.1
        while not await _is_looked_at(client, file):
            now = time.monotonic()
            if now > since + USABLE_SECONDS:
                raise UnusableFile(f"Slack has not looked at an upload in {USABLE_SECONDS:.0f} s")
            if now > deadline:
                raise Preparing("Slack has not looked at an upload yet")
            await asyncio.sleep(pause)
            pause = min(2.0, 2 * pause)

    # ---- from Slack

    async def fetch(
        self, workspace: Workspace, file: dict[str, Any], check_size: Callable[[int], None]
    ) -> bytes:
        """Download a file's content. `file` is as Slack describes it; only its id is needed.

        Raises Refusal, ClientError, OSError, TimeoutError; and what `check_size` raises for its bytes.
        """
        if not file.get("url_private"):
            client = self._workspaces.talk(workspace.token, team=workspace.team, patient=True)
            file = (await client.files_info(file=file["id"]))["file"]
        smaller = _smaller(file, check_size)
        if not smaller:
            check_size(int(file.get("size") or 0))
        url = smaller or file.get("url_private_download") or file.get("url_private") or ""
        if not self._workspaces.is_slack(url):
            notice = _(
                "That file lies outside of Slack, so Easel does not fetch it. Upload the image itself."
            )
            raise Refusal(notice, code="source")
        async with self._room(workspace):
            return await self._download(url, workspace.token, check_size)

    async def _download(self, url: str, token: str, check_size: Callable[[int], None]) -> bytes:
        headers = {"Authorization": f"Bearer {token}"}
        async with self._session.get(url, headers=headers, allow_redirects=False, timeout=TIMEOUT) as answer:
            if answer.status != 200 or answer.content_type == "text/html":  # a page to log in on
                raise Refusal(
                    _("Slack does not let Easel read that file. Upload it here again."), code="source"
                )
            content = bytearray()
            async for part in answer.content.iter_chunked(1 << 16):
                content += part
                check_size(len(content))
            return bytes(content)


async def _is_looked_at(client: AsyncWebClient, file: str) -> bool:
    try:
        return bool((await client.files_info(file=file))["file"].get("mimetype"))
    except SlackApiError as error:
        if code_of(error) in UNSETTLED:
            return False
        raise


def check(file: Mapping[str, Any], check_size: Callable[[int], None]) -> None:
    """Raise Refusal for a file that would be refused, by what Slack says of it."""
    if file.get("mimetype") and not _smaller(file, check_size):
        check_size(int(file.get("size") or 0))
        pictures.check_told(str(file["mimetype"]), str(file.get("name") or ""))


def _smaller(file: Mapping[str, Any], check_size: Callable[[int], None]) -> str:
    """Return the address of Slack's own smaller picture where the file is too large or cannot be read."""
    unread = str(file.get("mimetype", "")).casefold() in pictures.HEIC and not pictures.reads_heic()
    try:
        check_size(int(file.get("size") or 0))
    except Refusal:
        unread = True
    return str(file.get("thumb_1024") or file.get("thumb_960") or "") if unread else ""


def pictures_in(message: Any) -> list[dict[str, Any]]:
    """Return the pictures that were sent with a message."""
    files = message.get("files") or ()
    return [
        each
        for each in files
        if pictures.may_be_picture(str(each.get("mimetype") or ""), str(each.get("name") or ""))
    ]
