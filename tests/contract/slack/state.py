"""What the loopback Slack keeps: people, channels, messages, files, views, calls."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, field

from PIL import Image, UnidentifiedImageError

from tests.contract.slack import blocks as kit
from tests.contract.slack.methods import Json

PICTURES = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif"}

APP, TEAM, BOT, BOT_ID = "A1EASEL", "T1HOME", "U1EASEL", "B1EASEL"
ADA, BEN, BOSS, GUEST, GONE = "U2ADA", "U3BEN", "U4BOSS", "U5GUEST", "U6GONE"
GENERAL, SECRET, RANDOM = "C1GENERAL", "G2SECRET", "C3RANDOM"
APP_TOKEN, BOT_TOKEN, SIGNING_SECRET = "xapp-1-ours", "xoxb-ours-1", "8f742231b10e8888abcd99yyyzzz85a5"
CLIENT_ID, CLIENT_SECRET = "111.222", "client-secret-of-ours"


class Refused(Exception):
    """Slack answers ok: false."""

    def __init__(self, error: str, *messages: str) -> None:
        super().__init__(error)
        self.messages = list(messages)


@dataclass
class User:
    id: str
    name: str
    admin: bool = False
    guest: bool = False
    deleted: bool = False
    team: str = TEAM
    locale: str = "en-US"
    teams: tuple[str, ...] = ()  # of an organisation, if more than `team`
    is_bot: bool = False


@dataclass
class Channel:
    """A place to talk. `kind` as in an event's channel_type: channel, group or im."""

    id: str
    name: str
    kind: str = "channel"
    members: set[str] = field(default_factory=set)
    archived: bool = False
    deleted: bool = False
    read_only: bool = False
    team: str = TEAM
    shared: tuple[str, ...] = ()  # workspaces of other organisations that have it too (Slack Connect)


@dataclass
class Message:
    """A message as people see it."""

    ts: str
    channel: str
    user: str
    text: str = ""
    blocks: list[Json] = field(default_factory=list)
    thread: str = ""
    only: str = ""  # of an ephemeral one: who sees it
    files: list[str] = field(default_factory=list)
    metadata: Json = field(default_factory=dict)
    deleted: bool = False
    versions: int = 1

    @property
    def shown(self) -> str:
        """What stands there: of the blocks, or of the text where there are none."""
        return "\n".join(kit.texts(self.blocks)) if self.blocks else self.text

    @property
    def labels(self) -> list[str]:
        return [label for label, _, _ in kit.pressable(self.blocks)]

    @property
    def pings(self) -> set[str]:
        """Whom it notifies: a mention in what one person alone sees notifies nobody."""
        return set() if self.only else kit.pings(self.blocks, self.text)

    @property
    def pictures(self) -> list[str]:
        """The ids of the files it shows."""
        return [part["slack_file"]["id"] for part in kit.pictures(self.blocks) if "slack_file" in part]


@dataclass
class File:
    """An uploaded file. Before `ready` it has no mimetype, and no block may show it."""

    id: str
    name: str
    content: bytes = b""
    owner: str = BOT
    length: int = 0
    title: str = ""
    alt: str = ""
    uploaded: bool = False
    complete: bool = False
    ready: float = 0.0  # monotonic
    deleted: bool = False
    url: str = ""  # where it lies, if elsewhere
    size: int | None = None  # as Slack says, if not the content's
    told: str | None = None  # the type as Slack says, if not the content's
    smaller: File | None = None  # what Slack has made of it

    @property
    def mimetype(self) -> str:
        if self.told is not None:
            return self.told
        try:
            with Image.open(io.BytesIO(self.content)) as picture:
                return PICTURES.get(picture.format or "", f"image/{str(picture.format).lower()}")
        except (UnidentifiedImageError, OSError):
            return "text/plain"

    @property
    def settled(self) -> bool:
        return self.complete and time.monotonic() >= self.ready


@dataclass
class View:
    """An open modal, or someone's home tab."""

    id: str
    user: str
    data: Json
    hash: str = ""
    closed: bool = False

    @property
    def shown(self) -> str:
        return "\n".join(kit.texts(self.data["blocks"]))

    @property
    def labels(self) -> list[str]:
        return [label for label, _, _ in kit.pressable(self.data["blocks"])]


@dataclass
class Install:
    """The app in a workspace, or in all of an organisation's (`whole`): one token."""

    token: str
    team: str  # empty where it is whole
    scopes: set[str]
    dead: str = ""  # account_inactive, token_revoked
    enterprise: str = ""
    whole: bool = False


@dataclass
class Call:
    """One Web API call as it came."""

    method: str
    args: Json
    token: str
    at: float  # as this Slack sees time

    @property
    def blocks(self) -> list[Json]:
        return self.args.get("blocks") or []


@dataclass
class Fault:
    """An answer to give instead, `times` times."""

    method: str
    error: str = ""
    status: int = 200
    retry_after: int = 0  # seconds; makes it a 429
    channel: str = ""  # only there
    pictures: bool = False  # only of blocks that show some
    token: str = ""  # only of calls with it
    seconds: float = 0.0  # answer as usual, but only then
    page: str = ""  # a page of HTML in place of JSON
    times: int = 1


@dataclass
class Sent:
    """Something that was sent to the app, and how it was taken."""

    id: str
    kind: str  # slash_commands, interactive, events_api
    payload: Json
    at: float
    tries: int = 0
    acked: float | None = None
    answer: Json | None = None
    status: int = 0  # of a signed request

    @property
    def seconds(self) -> float:
        """How long its acknowledgement took."""
        assert self.acked is not None
        return self.acked - self.at


@dataclass
class Hook:
    """A response_url."""

    id: str
    channel: str
    user: str
    born: float
    message: str = ""  # ts of the message whose button was pressed
    thread: str = ""
    uses: int = 0


@dataclass
class Trigger:
    born: float
    used: bool = False


@dataclass
class Thread:
    """What the assistant panel shows about a thread."""

    title: str = ""
    statuses: list[str] = field(default_factory=list)
    prompts: list[Json] = field(default_factory=list)
