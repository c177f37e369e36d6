"""What people do on any chat surface, and what they see: each surface's `test_scenarios.py` runs all of it.

A surface brings a `Chat` as the fixture `chat`: its people do here what they would do there.
"""

from __future__ import annotations

import asyncio
import io
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import pytest
from PIL import Image, ImageDraw

from bot import actions
from bot.adapters import interactions
from bot.models import AuditLine, Job, Policy, State
from bot.store import Store
from tests.contract.slack.house import png
from tests.examples import unhurried

PATIENCE = 60.0  # seconds; only a broken studio needs them
RESULT = "seed "  # what only the card of a result says
LONG = "a red fox in deep snow under an old tree, " * 6


def framed() -> bytes:
    """A picture with edges."""
    picture = Image.new("RGB", (96, 64), "white")
    ImageDraw.Draw(picture).rectangle((12, 12, 80, 50), fill="navy")
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


@dataclass(frozen=True)
class Message:
    """A message as one person sees it; `raw` is the surface's own."""

    text: str
    labels: tuple[str, ...]  # of its buttons, and of the entries of its menu where it has one
    pictures: int
    raw: Any


class Person(ABC):
    """Somebody in a room with others."""

    @abstractmethod
    async def imagine(self, text: str) -> None:
        """/imagine."""

    @abstractmethod
    async def ask(self, command: str) -> None:
        """Another command, without options."""

    @abstractmethod
    async def say(self, words: str, picture: bytes = b"", about: Message | None = None) -> None:
        """Say something to Easel, with a picture, or in reply to a message."""

    @abstractmethod
    async def press(self, message: Message, label: str) -> None:
        """Press a button, or choose from the menu behind ⋯."""

    @abstractmethod
    async def choose(self, entry: str, message: Message | None = None, picture: bytes = b"") -> None:
        """Choose an entry of a message's menu; without one, of a message of one's own that has a picture."""

    @abstractmethod
    async def fill(self, prompt: str) -> None:
        """Send the form that is open, with another prompt."""

    async def react(self, message: Message, emoji: str, *, added: bool = True) -> None:
        """Put an emoji on a message, or take it away; on surfaces that have reactions."""
        raise NotImplementedError

    @abstractmethod
    def messages(self) -> list[Message]:
        """All that this person sees, the newest last."""

    def sees(self, text: str) -> Message | None:
        found = [each for each in self.messages() if text in each.text]
        return found[-1] if found else None

    async def see(self, text: str) -> Message:
        """The newest message with a text in it, once it is there."""
        deadline = time.monotonic() + PATIENCE
        while (found := self.sees(text)) is None:
            assert time.monotonic() < deadline, f"{text!r} is not among {self.messages()}"
            await asyncio.sleep(0.01)
        return found


@dataclass
class Chat:
    ada: Person
    ben: Person
    store: Store
    ids: tuple[str, ...] = ()  # of Ada and Ben, as the store knows them

    async def jobs(self) -> list[Job]:
        """All there are, the newest first."""
        return await self.store._jobs(newest_first=True)

    async def ended(self, count: int = 1, state: State = State.RENDERED) -> Job:
        """The newest of so many jobs, once its end was shown."""
        deadline = time.monotonic() + PATIENCE
        while True:
            jobs = await self.jobs()
            if len(jobs) == count and jobs[0].state is state and jobs[0].delivered:
                return jobs[0]
            assert time.monotonic() < deadline, [(job.state, job.reason, job.delivered) for job in jobs]
            await asyncio.sleep(0.01)

    async def painted(self, text: str = "a red fox in snow") -> tuple[Job, Message]:
        """Ada's picture, as she sees it."""
        count = len(await self.jobs()) + 1
        await self.ada.imagine(text)
        job = await self.ended(count)
        return job, await self.ada.see(RESULT)


async def test_a_command_becomes_pictures_in_one_message(chat: Chat) -> None:
    job, message = await chat.painted("a red fox in snow --seed 7")

    assert "a red fox in snow" in message.text and "seed 7" in message.text
    assert message.pictures and job.request.count == 4
    assert {"U1", "V4 subtle", "Again", "Edit"} <= set(message.labels)
    theirs = chat.ben.sees(RESULT)
    assert theirs and theirs.text == message.text
    assert len([each for each in chat.ben.messages() if "a red fox" in each.text]) == 1


async def test_the_best_of_four_is_shown_alone_with_its_seed(chat: Chat) -> None:
    job, message = await chat.painted("a red circle on a blue background --best 4 --seed 7")

    (kept,) = job.pictures
    assert job.request.count == 4 and not job.note and kept.seed == job.request.seed_of(kept.index)
    assert "best of 4" in message.text and f"seed {kept.seed}" in message.text
    assert message.pictures == 1 and "V1 subtle" not in message.labels
    await chat.ada.imagine(f"a red circle on a blue background --count 1 --seed {kept.seed}")
    assert (await chat.ended(2)).pictures[0].seed == kept.seed


async def test_words_are_painted(chat: Chat) -> None:
    await chat.ada.say("two pictures of a sleeping cat")
    job = await chat.ended()

    assert (job.prompt, job.request.count) == ("a sleeping cat", 2)
    assert (await chat.ben.see(RESULT)).pictures


async def test_whoever_calls_without_words_is_told_what_to_say(chat: Chat) -> None:
    await chat.ada.say("")
    await chat.ada.see("Describe an image, for example: a red fox.")
    assert await chat.jobs() == []


async def test_a_picture_that_comes_with_words_is_the_source(chat: Chat) -> None:
    await chat.ada.say("in oil", png())
    assert (await chat.ended()).request.source


async def test_a_picture_that_is_damaged_is_refused(chat: Chat) -> None:
    await chat.ada.say("in oil", png(256, 256)[:-200])
    await chat.ada.see("damaged and cannot be read")
    assert await chat.jobs() == []


async def test_a_picture_that_is_too_large_is_refused(chat: Chat) -> None:
    await chat.ada.say("in oil", png() + bytes(1_000_001))
    await chat.ada.see("has 2 MB; at most 1 MB are allowed")
    assert await chat.jobs() == []


async def test_a_picture_that_comes_with_a_control_guides_and_info_shows_what_was_made(chat: Chat) -> None:
    await chat.ada.say("imagine a red door --control edges --count 1", framed())
    job = await chat.ended()
    guide = job.request.control
    assert guide and guide.of and job.request.source is None
    result = await chat.ada.see(RESULT)
    await chat.ada.press(result, "Info")
    told = await chat.ada.see("Control: edges of an image, by canny, weight 1")
    assert told.pictures == 1
    await chat.ada.press(result, "Edit")
    await chat.ada.fill("a blue door")
    again = await chat.ended(2)
    assert (again.prompt, again.request.control) == ("a blue door", guide)

    await chat.ada.say("imagine a red door --control pose", framed())
    await chat.ada.see("knows the controls edges; you asked for “pose”.")


async def test_a_reply_to_a_picture_changes_it(chat: Chat) -> None:
    parent, message = await chat.painted()
    await chat.ben.say("make the sky orange", about=message)
    child = await chat.ended(2)

    assert (child.parent, child.prompt) == (parent.id, "a red fox in snow, the sky orange")
    assert child.request.source == parent.pictures[1].blob == actions.picture(parent, 0).blob


async def test_words_name_the_picture_to_change_and_edit_shows_both(chat: Chat) -> None:
    parent, message = await chat.painted("a red fox in snow --style noir --seed 7 --count 3")
    await chat.ada.say("take number 3 and make it night", about=message)
    child = await chat.ended(2)

    assert (child.prompt, child.style) == ("a red fox in snow, night", "noir")
    assert child.request.source == actions.picture(parent, 2).blob
    assert child.request.count == 3 and child.request.seed != 7
    await chat.ada.press(await chat.ada.see("a red fox in snow, night"), "Edit")
    await chat.ada.fill("a red fox in snow, night, stars")
    assert (await chat.ended(3)).request.source == child.request.source


async def test_a_picture_that_is_not_there_is_said(chat: Chat) -> None:
    _, message = await chat.painted("a red fox in snow --count 2")
    await chat.ada.say("#7 but at night", about=message)
    await chat.ada.see("There is no image 7")
    assert len(await chat.jobs()) == 1


@pytest.mark.parametrize("words", ["thanks, looks great", "👍", "lol", "vielen Dank!"])
async def test_talk_is_not_painted_and_not_answered(chat: Chat, words: str) -> None:
    _, message = await chat.painted()
    before = [each.text for each in chat.ben.messages() if RESULT not in each.text]
    await chat.ada.say(words, about=message)
    await chat.ada.say(words)
    await chat.painted("a wolf")
    after = [each.text for each in chat.ben.messages() if RESULT not in each.text]
    assert len(await chat.jobs()) == 2
    assert [each for each in after if each not in before and words not in each] == []


async def test_a_question_is_answered_with_what_to_say(chat: Chat) -> None:
    await chat.ada.say("how does one use this?")
    await chat.ada.see("Describe an image, for example: a red fox.")
    assert await chat.jobs() == []


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("what can you do?", "/imagine"),
        ("how many do I have left", "Your quota"),
        ("cancel that", "You have no unfinished job."),
    ],
)
async def test_words_to_easel_itself_do_what_they_say(chat: Chat, words: str, answer: str) -> None:
    await chat.ada.say(words)
    await chat.ada.see(answer)
    assert await chat.jobs() == []


async def test_what_may_be_a_request_is_asked_about_and_painted_when_pressed(chat: Chat) -> None:
    parent, message = await chat.painted("a red fox in snow --count 2")
    await chat.ada.say("#2 maybe in blue?", about=message)
    question = await chat.ada.see("Shall Easel paint that?")
    assert len(await chat.jobs()) == 1

    await chat.ada.press(question, question.labels[0])

    assert question.labels[0] == "Paint “in blue”"
    child = await chat.ended(2)
    assert (child.parent, child.prompt, child.origin.private) == (
        parent.id,
        "a red fox in snow, in blue",
        False,
    )
    assert child.request.source == actions.picture(parent, 1).blob


async def test_a_channel_may_have_buttons_only_or_nothing(chat: Chat) -> None:
    job, message = await chat.painted()
    tenant, channel = job.origin.member.tenant, job.origin.channel
    line = AuditLine(
        at=job.created,
        by="ada",
        name="Ada",
        surface=job.origin.surface,
        tenant=tenant,
        what="admin set channel",
    )

    async def rule(said: str) -> None:
        await chat.store.change_policy(tenant, lambda _: Policy(words={channel: said}), lambda *_: line)

    await rule("buttons")
    await chat.ada.say("a wolf")
    question = await chat.ada.see("Shall Easel paint that?")
    await chat.ada.press(question, "Paint “a wolf”")
    assert (await chat.ended(2)).prompt == "a wolf"
    await chat.ada.say("in oil", png())
    await chat.ada.see("Words with an image do nothing in this channel.")

    await rule("off")
    await chat.ada.say("a bear")
    await chat.ada.say("make it blue", about=message)
    await chat.painted("an owl")
    assert {each.prompt for each in await chat.jobs()} == {"a red fox in snow", "a wolf", "an owl"}


async def test_a_favourite_is_marked_by_a_press_and_listed_for_one_person(chat: Chat) -> None:
    await chat.painted("a red fox in snow --count 1")
    await chat.ben.press(await chat.ben.see(RESULT), "Favourite")
    await chat.ben.see("one of your favourites now")
    await chat.ben.ask("favourites")
    assert "a red fox in snow" in (await chat.ben.see("Your favourites")).text
    assert chat.ada.sees("favourites") is None


@pytest.mark.parametrize(
    "command", ["queue", "history", "favourites", "quota", "styles", "settings", "api create"]
)
async def test_questions_are_answered_privately(chat: Chat, command: str) -> None:
    words = {
        "queue": "The queue is empty",
        "history": "none yet",
        "favourites": "There are none here.",
        "quota": "Your quota",
        "styles": "watercolour",
        "settings": "Your settings",
        "api create": "sk-easel-",
    }[command]
    await chat.ada.ask(command)
    await chat.ada.see(words)
    assert chat.ben.sees(words) is None


@pytest.mark.parametrize("prompt", ["a fox", LONG])
async def test_a_refusal_is_private_and_its_offer_is_painted_for_all(chat: Chat, prompt: str) -> None:
    await chat.ada.imagine(f"{prompt} --count 16")
    refusal = await chat.ada.see("Try --count 4.")
    assert chat.ben.sees("Try --count 4.") is None

    await chat.ada.press(refusal, "Make 4 images")

    job = await chat.ended()
    assert (job.prompt, job.request.count) == (prompt.strip().rstrip(), 4)
    assert (await chat.ben.see(RESULT)).pictures


@pytest.mark.parametrize(
    ("label", "action", "index"),
    [("U2", "upscale", 1), ("V3 subtle", "vary_subtle", 2), ("V2 strong", "vary_strong", 1)],
)
async def test_a_button_makes_a_child_for_all(chat: Chat, label: str, action: str, index: int) -> None:
    parent, _ = await chat.painted()
    await chat.ben.press(await chat.ben.see(RESULT), label)
    child = await chat.ended(2)

    assert (child.parent, child.parent_index, child.action) == (parent.id, index, action)
    assert child.origin.member.name.casefold() == "ben" and not child.origin.private


async def test_a_double_click_is_one_press(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interactions, "DOUBLE_CLICK", PATIENCE)
    _, message = await chat.painted()
    await chat.ada.press(message, "Again")
    await chat.ada.press(message, "Again")
    await chat.ended(2)
    await chat.ada.imagine("something else")
    await chat.ended(3)


async def test_a_form_edits_and_paints_again(chat: Chat) -> None:
    parent, message = await chat.painted("a fox --seed 7 --style noir")
    await chat.ada.press(message, "Edit")
    await chat.ada.fill("a wolf")
    child = await chat.ended(2)

    assert (child.prompt, child.parent, child.action) == ("a wolf", parent.id, "edit")
    assert (child.style, child.request.seed) == ("noir", 7)


async def test_info_is_for_whoever_asked(chat: Chat) -> None:
    job, _ = await chat.painted()
    await chat.ben.press(await chat.ben.see(RESULT), "Info")
    await chat.ben.see(f"Job: {job.id}")
    assert chat.ada.sees(f"Job: {job.id}") is None


async def test_deleting_leaves_nothing_but_a_sentence(chat: Chat) -> None:
    _, message = await chat.painted()
    await chat.ada.press(message, "Delete")
    await chat.ended(1, State.DELETED)

    assert (await chat.ben.see("These images were deleted.")).pictures == 0
    assert chat.ben.sees("a red fox") is None


async def test_somebody_s_picture_becomes_a_source(chat: Chat) -> None:
    await chat.ada.choose("Use as reference", picture=png())
    await chat.ada.fill("in oil")
    job = await chat.ended()
    assert job.request.source and job.prompt == "in oil"


async def test_an_own_picture_becomes_a_source(chat: Chat) -> None:
    parent, message = await chat.painted()
    await chat.ada.choose("Use as reference", message)
    await chat.ada.fill("in oil")
    child = await chat.ended(2)
    assert child.request.source in {each.blob for each in parent.pictures}


async def test_the_menu_of_a_message_does_what_a_button_does(chat: Chat) -> None:
    parent, message = await chat.painted("a fox --count 1")
    await chat.ada.choose("Variations", message)
    child = await chat.ended(2)
    assert (child.parent, child.action) == (parent.id, "vary_subtle")


async def test_the_menu_lets_one_choose_of_several_pictures(chat: Chat) -> None:
    job, message = await chat.painted()
    before = len(chat.ben.messages())
    await chat.ada.choose("Upscale", message)
    deadline = time.monotonic() + PATIENCE
    while sum(RESULT in each.text for each in chat.ada.messages()) < 2:  # the same, for her alone
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert len(chat.ben.messages()) == before
    assert [each.id for each in await chat.jobs()] == [job.id]


async def test_the_menu_verifies_an_own_picture_for_one_person(chat: Chat) -> None:
    _, message = await chat.painted("a secret fox --count 1")
    before = len(chat.ada.messages())
    await chat.ben.choose("Verify", message)
    told = await chat.ben.see("Made by this Easel, and unchanged since.")
    assert "Model: " in told.text and "secret" not in told.text.split("Made by")[1]
    assert len(chat.ada.messages()) == before


async def test_the_menu_verifies_somebody_s_picture(chat: Chat) -> None:
    await chat.ada.choose("Verify", picture=png())
    await chat.ada.see("Nothing in it says that this Easel made it.")


async def test_the_menu_describes_somebody_s_picture_and_a_press_paints_it(chat: Chat) -> None:
    """By the classifier that ships: whatever it says of this picture."""
    before = len(chat.ben.messages())
    await chat.ada.choose("Describe", picture=png())
    told = await chat.ada.see("What this image shows")
    assert len(chat.ben.messages()) == before and await chat.jobs() == []
    if "1. " in told.text:
        await chat.ada.press(told, "Paint 1")
        assert (await chat.ended()).prompt in told.text


async def test_the_menu_describes_an_own_picture_for_one_person(chat: Chat) -> None:
    job, message = await chat.painted("a red fox --count 1")
    before = len(chat.ada.messages())
    await chat.ben.choose("Describe", message)
    await chat.ben.see("What this image shows")
    assert len(chat.ada.messages()) == before
    assert [each.id for each in await chat.jobs()] == [job.id]


async def test_the_command_asks_for_a_picture(chat: Chat) -> None:
    await chat.ada.ask("verify")
    await chat.ada.see("Give an image, or a message or job that shows one.")


@pytest.mark.parametrize("entry", ["Use as reference", "Upscale", "Describe", "Verify"])
async def test_a_message_without_a_picture_says_so(chat: Chat, entry: str) -> None:
    await chat.ada.choose(entry)
    await chat.ada.see("image")
    assert await chat.jobs() == []


# ---- several jobs of one request


@pytest.mark.parametrize("asks", ["imagine", "say"])
async def test_a_series_is_asked_about_once_and_each_job_has_its_message(chat: Chat, asks: str) -> None:
    text = "a {red, blue} fox in snow --repeat 2 --count 1"
    await getattr(chat.ada, asks)(text)
    question = await chat.ada.see("Start 4 jobs with 4 images?")
    assert await chat.jobs() == []

    await chat.ada.press(question, "Start 4 jobs")
    await chat.ended(4)
    for number in (1, 2, 3, 4):
        result = await chat.ben.see(f"{number} of 4")
        deadline = time.monotonic() + PATIENCE
        while RESULT not in result.text:
            assert time.monotonic() < deadline, result
            await asyncio.sleep(0.01)
            result = await chat.ben.see(f"{number} of 4")
        assert result.pictures == 1
    assert len([each for each in chat.ben.messages() if " of 4" in each.text]) == 4


async def test_a_series_can_be_declined(chat: Chat) -> None:
    await chat.ada.imagine("a fox in snow --repeat 2")
    question = await chat.ada.see("Start 2 jobs")
    await chat.ada.press(question, "Cancel")
    await chat.ada.see("Nothing was started.")
    assert await chat.jobs() == []


async def test_a_picture_is_made_changed_extended_enlarged_and_cut_out_and_each_step_is_charged(
    chat: Chat,
) -> None:
    async def step(count: int) -> Job:
        """The newest job; all that was used by now is charged, and nothing else is held."""
        job = await chat.ended(count)
        used = sum(each.device_seconds for each in await chat.jobs())
        (balance,) = await chat.store.balances(job.origin.member.id, everyone)
        assert job.device_seconds > 0 and balance.used == pytest.approx(used, abs=0.01)
        return job

    async def press(label: str, text: str = "") -> None:
        """Press that in the newest message that has it, or a menu, once one does."""
        deadline = time.monotonic() + PATIENCE
        while not (there := [each for each in chat.ada.messages() if {label, "⋯"} & set(each.labels)]) or (
            text not in there[-1].text
        ):
            assert time.monotonic() < deadline, f"{label!r} is not among {chat.ada.messages()}"
            await asyncio.sleep(0.01)
        await chat.ada.press(there[-1], label)

    everyone = unhurried().default
    await chat.ada.say("a red fox in snow --count 1 --seed 7")
    first = await step(1)
    await chat.ada.imagine(f"a star --source {first.id}:1 --region top left --count 1 --seed 8")
    changed = await step(2)
    await press("Extend", "a star")
    await press("Zoom out 1.5×")
    wider = await step(3)
    await press("Upscale", f"seed {wider.request.seed}")
    larger = await step(4)
    await press("Cut out", larger.note or "a star")
    cut = await step(5)

    steps = (first, changed, wider, larger, cut)
    kinds = ["text_to_image", "inpaint", "outpaint", "upscale", "cut_out"]
    assert [each.request.task.kind for each in steps] == kinds
    assert [each.parent for each in steps[2:]] == [each.id for each in steps[1:-1]]
