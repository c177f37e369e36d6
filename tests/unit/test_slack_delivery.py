"""How a job's message gets to Slack, and never twice."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError

from bot.adapters.slack.delivery import CALM, EDITS, PATIENCE, TURN, PostPace, SlackDelivery, Turns
from bot.adapters.slack.post_recovery import MARK, PAGES
from bot.adapters.slack.workspaces import Workspace
from bot.errors import TryLater, Unreachable
from bot.messages.types import Card, CardPicture
from bot.models import Job, Member, Origin, State
from engine.types import GenerationRequest
from tests.virtual import virtually

WAITING = Card(kind="waiting", title="a fox", job="1a2b")
DONE = Card(
    kind="done", title="a fox", job="1a2b", pictures=(CardPicture(alt="a fox", width=8, height=8, blob="b1"),)
)


def job(*, state: State = State.QUEUED, age: float = -60.0, thread: str = "", **more: Any) -> Job:
    origin = Origin(
        surface="slack",
        member=Member(tenant="slack:T1", id="slack:T1:U1", name="Ada"),
        channel=more.pop("channel", "C1"),
        event="C1:1.0",
        reply={"team": "T1", "enterprise": "", "user": "U1", "thread": thread},
        private=more.pop("private", False),
    )
    created = datetime.now(UTC) - timedelta(seconds=age)
    request = GenerationRequest(prompt="a fox", seed=7)
    return Job(
        id="1a2b", origin=origin, request=request, prompt="a fox", created=created, state=state, **more
    )


def refused(code: str) -> SlackApiError:
    return SlackApiError("no", {"error": code})


class Slack:
    """The methods that delivery calls; the next ones raise `troubles`, one each; None is no trouble."""

    def __init__(self) -> None:
        self.messages: dict[tuple[str, str], dict[str, Any]] = {}
        self.calls: list[str] = []
        self.troubles: dict[str, list[Exception | None]] = {}
        self.workspace: Workspace | None = Workspace(team="T1", token="x")
        self.page = 100  # messages in one answer
        self.windows: list[tuple[float, float]] = []  # that were looked for

    async def find(self, team: str, enterprise: str = "") -> Workspace | None:
        return self.workspace

    def talk(self, token: str = "", *, team: str = "", patient: bool = False) -> Slack:
        return self

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if (waiting := self.troubles.get(name)) and (trouble := waiting.pop(0)):
            raise trouble

    async def chat_postMessage(self, channel: str, **message: Any) -> dict[str, Any]:
        lost = self.troubles.get("lost answer")
        self._called("post")
        ts = f"{len(self.messages) + 1}.0"
        self.messages[(channel, ts)] = message | {"ts": ts}
        if lost and (trouble := lost.pop(0)):
            raise trouble
        return {"channel": channel, "ts": ts}

    async def chat_update(self, channel: str, ts: str, **message: Any) -> None:
        self._called("update")
        self.messages[(channel, ts)] |= message

    async def conversations_open(self, users: str) -> dict[str, Any]:
        self._called("open")
        return {"channel": {"id": f"D{users}"}}

    async def conversations_join(self, channel: str) -> None:
        self._called("join")

    async def conversations_history(self, channel: str, **about: Any) -> dict[str, Any]:
        self._called("history")
        found = [m for (place, _), m in self.messages.items() if place == channel and not m["thread_ts"]]
        return self._page(found[::-1], **about)

    async def conversations_replies(self, channel: str, ts: str, **about: Any) -> dict[str, Any]:
        self._called("replies")
        found = [m for (place, _), m in self.messages.items() if (place, m["thread_ts"]) == (channel, ts)]
        return self._page(found, **about)

    def _page(self, found: list[Any], *, oldest: str, latest: str, cursor: str = "0", **_: Any) -> Any:
        self.windows.append((float(oldest), float(latest)))
        after = int(cursor) + self.page
        more = {"next_cursor": str(after)} if after < len(found) else {}
        return {"messages": found[int(cursor) : after], "response_metadata": more}

    async def files_delete(self, file: str) -> None:
        self._called(f"delete {file}")


class Shelf:
    """Files that are uploaded as F1, F2, … and remembered."""

    def __init__(self) -> None:
        self.uploads = 0
        self.known: dict[str, str] = {}
        self.trouble: Exception | None = None

    async def show(self, workspace: Workspace, pictures: Any, name: str = "") -> dict[str, str]:
        if self.trouble:
            raise self.trouble
        for picture in pictures:
            if picture.blob not in self.known:
                self.uploads += 1
                self.known[picture.blob] = f"F{self.uploads}"
        return {picture.blob: self.known[picture.blob] for picture in pictures}

    def know(self, workspace: Workspace, files: dict[str, str]) -> None:
        self.known |= files

    def forget(self, workspace: Workspace, files: Any) -> None:
        for blob in files:
            self.known.pop(blob, None)


@pytest.fixture
def slack() -> Slack:
    return Slack()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def delivery(slack: Slack, shelf: Shelf) -> SlackDelivery:
    return SlackDelivery(slack, shelf)  # type: ignore[arg-type]


async def test_a_job_s_message_names_it_and_unfurls_nothing(delivery: SlackDelivery, slack: Slack) -> None:
    ref = await delivery.post(job(), WAITING)

    (message,) = slack.messages.values()
    assert ref == {"channel": "C1", "ts": "1.0"}
    assert message["metadata"] == {"event_type": MARK, "event_payload": {"job": "1a2b"}}
    assert (message["unfurl_links"], message["unfurl_media"], message["parse"]) == (False, False, "none")
    assert slack.calls == ["post"]  # a new job is not looked for


@pytest.mark.parametrize("thread", ["", "9.0"])
async def test_a_post_whose_answer_was_lost_is_not_repeated(
    delivery: SlackDelivery, slack: Slack, thread: str
) -> None:
    slack.troubles["lost answer"] = [aiohttp.ServerDisconnectedError()]
    with pytest.raises(TryLater):
        await delivery.post(job(thread=thread), WAITING)

    ref = await delivery.post(job(thread=thread), WAITING)

    assert ref["ts"] == "1.0" and len(slack.messages) == 1
    assert slack.calls == ["post", "replies" if thread else "history", "update"]


async def test_a_post_before_a_kill_is_found_again(slack: Slack, shelf: Shelf) -> None:
    before = SlackDelivery(slack, shelf)  # type: ignore[arg-type]
    await before.post(job(), WAITING)

    after = SlackDelivery(slack, shelf)  # type: ignore[arg-type]
    ref = await after.post(job(age=1.0), WAITING)

    assert ref["ts"] == "1.0" and len(slack.messages) == 1


async def test_a_public_channel_is_joined_to_look_for_a_lost_message(
    delivery: SlackDelivery, slack: Slack
) -> None:
    slack.troubles["history"] = [refused("not_in_channel")]

    await delivery.post(job(age=1.0), WAITING)

    assert slack.calls == ["history", "join", "history", "post"] and len(slack.messages) == 1


@pytest.mark.parametrize(("method", "error"), [("history", "missing_scope"), ("join", "missing_scope")])
async def test_where_it_cannot_be_looked_for_it_goes_to_the_person(
    delivery: SlackDelivery, slack: Slack, method: str, error: str
) -> None:
    slack.troubles["history"] = [refused("not_in_channel")]
    slack.troubles[method] = [refused(error)]

    ref = await delivery.post(job(age=1.0), WAITING)

    assert ref["channel"] == "DU1" and [place for place, _ in slack.messages] == ["DU1"]


@pytest.mark.parametrize("error", ["invalid_blocks", "ratelimited", "is_archived"])
async def test_what_slack_has_surely_not_posted_is_not_looked_for(
    delivery: SlackDelivery, slack: Slack, error: str
) -> None:
    slack.troubles["post"] = [refused(error)]
    with suppress(TryLater, Unreachable):
        await delivery.post(job(), WAITING)

    await delivery.post(job(), WAITING)

    assert "history" not in slack.calls and "join" not in slack.calls


async def test_a_lost_message_is_looked_for_among_those_of_its_time(
    delivery: SlackDelivery, slack: Slack
) -> None:
    before = time.time()
    slack.troubles["lost answer"] = [aiohttp.ServerDisconnectedError()]
    with pytest.raises(TryLater):
        await delivery.post(job(age=3600), WAITING)

    await delivery.post(job(age=3600), WAITING)

    first, last = slack.windows
    assert first[0] < before - 3600 < before < first[1]  # from the job to this process
    assert before - 600 < last[0] < before < last[1] < before + 600  # from the post on


async def test_a_search_that_slack_slows_down_goes_on_where_it_stood(
    delivery: SlackDelivery, slack: Slack
) -> None:
    slack.page = 1
    mark = {"event_type": MARK, "event_payload": {"job": "1a2b"}}
    slack.messages = {("C1", ts): {"ts": ts, "thread_ts": None} for ts in ("1.0", "2.0", "3.0")}
    slack.messages[("C1", "1.0")]["metadata"] = mark  # on the third page
    slack.troubles["history"] = [None, refused("ratelimited"), None, refused("ratelimited")]
    for _ in range(2):
        with pytest.raises(TryLater):
            await delivery.post(job(age=1.0), WAITING)

    assert (await delivery.post(job(age=1.0), WAITING))["ts"] == "1.0"

    assert slack.calls.count("history") == 5 and "post" not in slack.calls


async def test_a_search_without_end_is_given_up(delivery: SlackDelivery, slack: Slack) -> None:
    slack.page = 1
    slack.messages = {("C1", f"{n}.0"): {"ts": f"{n}.0", "thread_ts": None} for n in range(PAGES + 1)}

    assert (await delivery.post(job(age=1.0), WAITING))["channel"] == "DU1"


@pytest.mark.parametrize("error", ["channel_not_found", "is_archived", "restricted_action_read_only_channel"])
async def test_a_closed_place_sends_it_to_the_person(
    delivery: SlackDelivery, slack: Slack, error: str
) -> None:
    slack.troubles["post"] = [refused(error)]

    ref = await delivery.post(job(), WAITING)

    assert ref["channel"] == "DU1"
    assert "could not post where you asked" in str(slack.messages[("DU1", "1.0")]["blocks"])


async def test_a_private_job_goes_to_the_person_alone(delivery: SlackDelivery, slack: Slack) -> None:
    assert (await delivery.post(job(private=True), WAITING))["channel"] == "DU1"
    assert (await delivery.post(job(channel=""), WAITING))["channel"] == "DU1"


async def test_progress_is_edited_so_often_and_ends_always(delivery: SlackDelivery, slack: Slack) -> None:
    ref = await delivery.post(job(), WAITING)
    for _ in range(3 * EDITS):
        assert await delivery.edit(job(state=State.RUNNING), ref, WAITING) == ref
    assert slack.calls.count("update") <= EDITS + 1

    ref = await delivery.edit(job(state=State.RENDERED), ref, DONE)

    assert ref["files"] == {"b1": "F1"}
    assert slack.messages[("C1", "1.0")]["blocks"][-1]["slack_file"] == {"id": "F1"}


async def test_files_of_the_reference_are_not_uploaded_again(delivery: SlackDelivery, shelf: Shelf) -> None:
    ref = await delivery.post(job(), WAITING) | {"files": {"b1": "F9"}}

    assert (await delivery.edit(job(state=State.RENDERED), ref, DONE))["files"] == {"b1": "F9"}
    assert shelf.uploads == 0


async def test_pictures_that_slack_keeps_refusing_are_left_out_in_the_end(
    delivery: SlackDelivery, slack: Slack, shelf: Shelf
) -> None:
    ref = await delivery.post(job(), WAITING)
    slack.troubles["update"] = [refused("invalid_blocks") for _ in range(PATIENCE)]
    for _ in range(PATIENCE):
        with pytest.raises(TryLater):
            await delivery.edit(job(state=State.RENDERED), ref, DONE)

    await delivery.edit(job(state=State.RENDERED), ref, DONE)

    assert "does not show the images" in str(slack.messages[("C1", "1.0")]["blocks"])
    assert shelf.uploads == PATIENCE


async def test_a_workspace_that_takes_no_files_gets_the_words(
    delivery: SlackDelivery, slack: Slack, shelf: Shelf
) -> None:
    ref = await delivery.post(job(), WAITING)
    shelf.trouble = refused("storage_limit_reached")

    await delivery.edit(job(state=State.RENDERED), ref, DONE)

    assert "does not show the images" in str(slack.messages[("C1", "1.0")]["blocks"])


async def test_an_end_whose_place_has_closed_is_told_directly(delivery: SlackDelivery, slack: Slack) -> None:
    ref = await delivery.post(job(), WAITING)
    slack.troubles["update"] = [refused("is_inactive"), refused("is_inactive")]

    assert await delivery.edit(job(state=State.RUNNING), ref, WAITING) == ref
    ref = await delivery.edit(job(state=State.RENDERED), ref, DONE)

    assert ref["channel"] == "DU1"


async def test_a_deleted_message_stays_away(delivery: SlackDelivery, slack: Slack) -> None:
    ref = await delivery.post(job(), WAITING)
    slack.troubles["update"] = [refused("message_not_found")]

    with pytest.raises(Unreachable, match="was deleted"):
        await delivery.edit(job(state=State.RENDERED), ref, DONE)


async def test_deleting_takes_files_and_shared_copies_out_of_slack(
    delivery: SlackDelivery, slack: Slack
) -> None:
    ref = await delivery.post(job(), WAITING)
    ref = await delivery.edit(job(state=State.RENDERED), ref, DONE)
    workspace = slack.workspace
    assert workspace
    ref = await delivery.share(workspace, job(state=State.RENDERED, message=ref), DONE, "C2")
    assert ref["shared"] == [{"channel": "C2", "ts": "2.0"}]

    gone = Card(kind="deleted", body=("These images were deleted.",), job="1a2b")
    ref = await delivery.edit(job(state=State.DELETED), ref, gone)

    assert "delete F1" in slack.calls and "files" not in ref
    assert all("were deleted" in str(message["blocks"]) for message in slack.messages.values())


async def test_a_workspace_without_easel_is_unreachable(delivery: SlackDelivery, slack: Slack) -> None:
    slack.workspace = None

    with pytest.raises(Unreachable, match="removed from this workspace"):
        await delivery.post(job(), WAITING)


@pytest.mark.parametrize("more", [{"state": State.DELETED}, {"state": State.RENDERED, "private": True}])
async def test_what_is_private_or_deleted_is_shown_nowhere_else(
    delivery: SlackDelivery, slack: Slack, more: dict[str, Any]
) -> None:
    ref = await delivery.post(job(), WAITING)
    slack.troubles["update"] = [refused("is_inactive")]

    with pytest.raises(Unreachable):
        await delivery.edit(job(**more), ref, DONE)

    assert [place for place, _ in slack.messages] == ["C1"]


def test_edits_are_allowed_again_as_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("bot.adapters.slack.delivery.time.monotonic", lambda: now)
    pace = PostPace(2, 60.0)

    assert [pace.may() for _ in range(3)] == [True, True, False]
    now += 30.5
    assert [pace.may() for _ in range(2)] == [True, False]
    now += 1e6
    assert [pace.may() for _ in range(3)] == [True, True, False]


def test_posts_in_a_limited_channel_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        clock = asyncio.get_running_loop().time
        monkeypatch.setattr("bot.adapters.slack.delivery.time", SimpleNamespace(monotonic=clock))
        turns, times = Turns(), []

        async def post() -> None:
            await turns.wait()
            times.append(round(clock(), 1))

        await asyncio.gather(*(post() for _ in range(3)))
        with suppress(SlackApiError), turns.heeded():
            raise refused("ratelimited")
        await asyncio.gather(*(post() for _ in range(3)))
        await asyncio.sleep(CALM + TURN + 0.1)
        await asyncio.gather(*(post() for _ in range(2)))

        calm = round(1.0 + 2 * TURN + CALM + TURN + 0.1, 1)
        assert times == [0.0, 0.0, 0.0, 1.0, 2.1, 3.2, calm, calm]

    virtually(work())
