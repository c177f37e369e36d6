"""What people do in Slack, and what they see."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from bot.models import State
from tests.contract.slack.conftest import Opens
from tests.contract.slack.house import DONE, House, png
from tests.contract.slack.people import Person
from tests.contract.slack.state import ADA, BOT, GENERAL, RANDOM, SECRET, Channel, Fault, Message

RESULT = ["U1", "U2", "U3", "U4"]


async def test_a_command_becomes_pictures_in_one_message(house: House) -> None:
    await house.ada.slash("/imagine a red fox in snow --seed 7")
    job = await house.ended()

    message = house.message(job)
    assert message.channel == GENERAL and not message.only
    assert message.shown.startswith(f"<@{ADA}> a red fox in snow\n") and DONE in message.shown
    assert message.labels[:4] == RESULT and {"Again", "Edit", "Info", "Delete"} <= set(message.labels)
    assert house.ben.sees(DONE) is message
    (grid,) = message.pictures
    assert (job.request.count, job.request.width, job.request.height) == (4, 64, 64)
    assert house.picture(grid).size == (64 + 8 + 64, 64 + 8 + 64), "two by two, with a gap"
    assert message.versions == 1 and job.message and job.message["former"], "a status message stood before it"
    assert len([m for m in house.wire.visible() if m.user == BOT]) == 1
    assert job.origin.member.name == "Ada" and job.request.seed == 7


async def test_pictures_say_what_they_show(house: House) -> None:
    message = await house.painted()

    alts = [block["alt_text"] for block in message.blocks if block["type"] == "image"]
    assert alts and all("a red fox in snow" in alt for alt in alts)
    assert house.wire.files[message.pictures[0]].alt.startswith("a red fox in snow")
    assert "a red fox in snow" in message.text  # what notifications and screen readers say


async def test_everything_is_acknowledged_at_once(opened: Opens) -> None:
    async with opened(step_seconds=0.05) as house:
        sent = [await house.ada.slash(line) for line in ("/imagine a fox", "/imagine", "/easel queue")]
        await house.acked(*sent)
        await house.ended()
        message = house.message(await house.newest())
        sent += [await house.ada.press(message, label) for label in ("U1", "Info", "Edit", "Again")]
        sent.append(await house.ada.opens_home())
        await house.acked(*sent)

        assert max(each.seconds for each in sent) < 1.0


@pytest.mark.parametrize("channel", [SECRET, RANDOM])
async def test_channels_of_every_kind(house: House, channel: str) -> None:
    await house.ada.slash("/imagine a fox", channel)
    job = await house.ended()

    assert house.message(job).channel == channel


async def test_a_direct_message_is_a_place_too(house: House) -> None:
    direct = house.wire.direct(ADA).id
    await house.ada.slash("/imagine a fox", direct)

    assert house.message(await house.ended()).channel == direct


# ---- forms


async def test_the_command_alone_opens_a_form_with_every_option(house: House) -> None:
    await house.ada.slash("/imagine")
    form = await house.ada.form()
    inputs = {block["block_id"] for block in form.data["blocks"] if block["type"] == "input"}
    assert {"prompt", "style", "count", "source"} <= inputs

    source = house.wire.hand_in(png())
    await house.ada.submit(form, prompt="a wolf", style="watercolour", count="2", source=[source])

    job = await house.ended()
    assert (job.prompt, job.style, job.request.count) == ("a wolf", "watercolour", 2)
    assert job.request.source and form.closed
    assert house.message(job).channel == GENERAL


async def test_a_form_says_which_field_is_wrong(house: House) -> None:
    await house.ada.slash("/imagine")
    form = await house.ada.form()

    sent = await house.wire.taken(await house.ada.submit(form, prompt="a wolf", size="very large"))

    assert sent.answer and sent.answer["response_action"] == "errors" and not form.closed
    assert "“very large” is not that" in sent.answer["errors"]["size"]
    assert await house.jobs() == []


async def test_a_form_that_is_closed_does_nothing(house: House) -> None:
    await house.ada.slash("/imagine")
    form = await house.ada.form()

    await house.ada.close(form)

    await house.painted()
    assert len(await house.jobs()) == 1


async def test_edit_opens_what_was_said_and_paints_again_even_after_a_restart(opened: Opens) -> None:
    async with opened() as house:
        message = await house.painted("/imagine a fox --seed 7 --style noir")
        parent = await house.newest()
        await house.ada.press(message, "Edit")
        form = await house.ada.form()
        shown = json.dumps(form.data)
        assert '"initial_value": "a fox"' in shown and "noir" in shown

    async with opened() as house:
        await house.ada.submit(form, prompt="a wolf", style="watercolour")
        child = await house.ended(count=2)
        assert (child.prompt, child.style, child.parent) == ("a wolf", "watercolour", parent.id)


async def test_the_longest_prompt_can_be_edited(house: House) -> None:
    message = await house.painted("/imagine " + "fox " * 900)

    await house.ada.press(message, "Edit")

    form = await house.ada.form()
    assert "fox fox" in json.dumps(form.data)


# ---- presses


async def test_buttons_work_after_a_restart(opened: Opens) -> None:
    async with opened() as house:
        message = await house.painted()
        parent = await house.newest()

    async with opened() as house:
        await house.ada.press(message, "U2")
        child = await house.ended(count=2)
        assert (child.parent, child.parent_index, child.request.task.factor) == (parent.id, 1, 4)
        shown = house.message(child)
        assert {"Vary (subtle)", "Vary (strong)", "Edit", "Info", "Delete"} <= set(shown.labels)
        assert house.picture(shown.pictures[0]).size == (256, 256)


@pytest.mark.parametrize("label", ["U1", "V3 subtle", "V2 strong", "Again"])
async def test_each_button_makes_a_child(house: House, label: str) -> None:
    message = await house.painted()

    await house.ben.press(message, label)

    child = await house.ended(count=2)
    assert child.parent == (await house.jobs())[1].id
    assert child.origin.member.name == "Ben" and house.message(child) is not message


async def test_a_double_click_paints_once(house: House) -> None:
    message = await house.painted()

    first, second = [await house.ada.press(message, "Again") for _ in range(2)]
    await house.acked(first, second)
    await house.ended(count=2)
    await house.painted("/imagine something else")

    assert len(await house.jobs()) == 3


async def test_a_double_click_opens_one_form(house: House) -> None:
    message = await house.painted()

    await house.acked(*[await house.ada.press(message, "Edit") for _ in range(2)])
    await house.ada.form()
    await house.painted("/imagine something else")

    assert len(house.wire.calls_of("views.open")) == 1


async def test_info_is_for_the_one_who_asked(house: House) -> None:
    message = await house.painted("/imagine a fox --seed 7")
    job = await house.newest()

    await house.ben.press(message, "Info")

    told = await house.ben.see(f"Job: {job.id}")
    assert "Seeds: 7 to 10" in told.shown
    assert house.ada.sees(f"Job: {job.id}") is None
    assert DONE in message.shown


async def test_deleting_leaves_nothing_but_a_sentence(house: House) -> None:
    message = await house.painted()
    files = [house.wire.files[id] for id in message.pictures]

    await house.ada.press(message, "Delete")

    await house.wire.until(lambda: message.shown == "These images were deleted.")
    await house.until((await house.newest()).id, State.DELETED)
    assert message.labels == [] and message.pictures == []
    await house.wire.until(lambda: all(file.deleted for file in files))


async def test_a_stranger_s_delete_is_refused_privately(house: House) -> None:
    message = await house.painted()

    await house.ben.press(message, "Delete")

    told = await house.ben.see("Only Ada or an administrator can do that.")
    assert told.only == house.ben.id and message.pictures


async def test_a_workspace_admin_may_delete(house: House) -> None:
    message = await house.painted()

    await house.boss.press(message, "Delete")

    await house.wire.until(lambda: message.shown == "These images were deleted.")


async def test_a_job_that_waits_can_be_cancelled(opened: Opens) -> None:
    async with opened(step_seconds=1.0) as house:
        await house.ada.slash("/imagine a fox")
        message = await house.ada.see("a fox")
        await house.wire.until(lambda: "Cancel" in message.labels)

        await house.ada.press(message, "Cancel")

        await house.wire.until(lambda: "cancelled, nothing charged" in message.shown)


async def test_a_refusal_is_private_and_its_offer_works(house: House) -> None:
    await house.ada.slash("/imagine a fox --count 16")
    refusal = await house.ada.see("Try --count 4.")
    assert refusal.only == ADA

    await house.ada.press(refusal, "Make 4 images")

    job = await house.ended()
    assert job.request.count == 4 and house.ben.sees(DONE)


# ---- words


async def test_a_mention_is_answered_in_its_thread_once(house: House) -> None:
    said = await house.ada.say(f"<@{BOT}> two pictures of a fox")

    job = await house.ended()
    message = house.message(job)
    assert (message.thread, message.channel) == (said.ts, GENERAL)
    assert job.request.count == 2 and "fox" in job.prompt and BOT not in job.prompt
    events = [sent for sent in house.wire.sent if sent.kind == "events_api"]
    assert len(await house.jobs()) == 1 and len(events) >= 1


async def test_a_mention_in_a_thread_stays_there(house: House) -> None:
    root = await house.ada.say("look what I found")
    await house.ben.say(f"<@{BOT}> a fox", thread=root.ts)

    assert house.message(await house.ended()).thread == root.ts


async def test_other_people_s_talk_is_not_answered(house: House) -> None:
    root = await house.ada.say("good morning")
    await house.ben.say("what a day", thread=root.ts)
    await house.painted()

    assert len(await house.jobs()) == 1


async def test_a_reply_under_a_picture_edits_it(house: House) -> None:
    message = await house.painted("/imagine a fox")
    parent = await house.newest()

    await house.ben.say("make it blue", thread=message.ts)

    child = await house.ended(count=2)
    assert child.request.source in {each.blob for each in parent.pictures}
    assert child.prompt == "a fox, blue" and house.message(child).thread == message.ts


@pytest.mark.parametrize(
    "words",
    [
        "thanks, looks great",
        "what model is this?",
        "love it, but legal must see it",
        "👍",
        "stop",
        "hi",
        "vielen Dank an alle",
        "put it in the deck",
    ],
)
async def test_talk_under_a_picture_is_left_alone(house: House, words: str) -> None:
    message = await house.painted("/imagine a fox")
    seen = [each.shown for each in house.wire.visible(house.ben.id) if each.user == BOT]

    await house.ben.say(words, thread=message.ts)
    await house.painted("/imagine a wolf")

    assert len(await house.jobs()) == 2
    now = [each.shown for each in house.wire.visible(house.ben.id) if each.user == BOT]
    assert [each for each in now if each not in seen and "a wolf" not in each] == []


async def test_what_may_be_a_change_is_asked_of_whoever_said_it_alone(house: House) -> None:
    message = await house.painted("/imagine a fox --count 2")
    parent = await house.newest()

    await house.ben.say("#2 maybe in blue?", thread=message.ts)
    question = await house.ben.see("Shall Easel paint that?")
    assert house.ada.sees("Shall Easel paint that?") is None and question.thread == message.ts
    await house.acked(await house.ben.press(question, "Paint “in blue”"))

    child = await house.ended(count=2)
    assert (child.prompt, child.parent, child.origin.private) == ("a fox, in blue", parent.id, False)
    assert house.message(child).thread == message.ts and house.message(child).channel == GENERAL


async def test_a_mention_under_a_mention_s_picture_edits_it(house: House) -> None:
    root = await house.ada.say(f"<@{BOT}> a fox")
    parent = await house.ended()

    await house.ada.say(f"<@{BOT}> now at night", thread=root.ts)

    child = await house.ended(count=2)
    assert child.request.source in {each.blob for each in parent.pictures}


async def test_plain_words_in_a_direct_message_are_painted(house: House) -> None:
    direct = house.wire.direct(ADA).id
    await house.ada.say("a red fox", direct)

    job = await house.ended()
    assert job.prompt == "a red fox" and house.message(job).channel == direct


@pytest.mark.parametrize(
    ("typed", "prompt", "changes"),
    [
        ("a fox ——ar 16:9", "a fox", {"wide": True}),
        ("a fox —-ar 16:9", "a fox", {"wide": True}),
        ("a fox -ar 16:9", "a fox", {"wide": True}),
        ("a fox,—ar 16:9", "a fox", {"wide": True}),
        ("a fox —no “text”", "a fox", {"negative": "text"}),
        ("a :cat: in snow", "a cat in snow", {}),
        ("a :red_car::skin-tone-3: in snow", "a red car in snow", {}),
        ("a *red fox* in _deep_ snow, ~grey~ `blue` sky", "a red fox in deep snow, grey blue sky", {}),
        ("a 5 * 3 * 2 grid_of_red_boxes", "a 5 * 3 * 2 grid_of_red_boxes", {}),
        ("a cat &amp; a dog &lt;3", "a cat & a dog <3", {}),
        ("a clock, 10:10:30", "a clock, 10:10:30", {}),
        ("fox::2 snow::1", "fox::2 snow::1", {}),
        ("a fox near <http://example.org|example.org>", "a fox near example.org", {}),
        ("&gt; a fox in snow", "a fox in snow", {}),
    ],
)
@pytest.mark.parametrize("by", ["mention", "command"])
async def test_what_slack_makes_of_typing_is_read_as_typed(
    house: House, typed: str, prompt: str, changes: dict[str, Any], by: str
) -> None:
    if by == "mention":
        await house.ada.say(f"<@{BOT}> {typed}")
    else:
        await house.ada.slash(f"/imagine {typed}")
    job = await house.ended()
    assert (job.prompt, job.request.negative_prompt) == (prompt, changes.get("negative", ""))
    assert (job.request.width > job.request.height) == changes.get("wide", False)


@pytest.mark.parametrize("words", [":tada:", "thanks :heart:", ":thumbsup: :thumbsup:"])
async def test_emoji_alone_are_talk(house: House, words: str) -> None:
    await house.ada.say(f"<@{BOT}> {words}")
    await house.ada.say(f"<@{BOT}> a fox")
    assert (await house.ended()).prompt == "a fox"


async def test_a_picture_that_comes_with_the_words_is_the_source(house: House) -> None:
    fox = house.wire.hand_in(png())
    await house.ada.say(f"<@{BOT}> in oil", files=[fox])

    assert (await house.ended()).request.source


@pytest.mark.parametrize("by", ["mention", "command"])
async def test_an_address_of_slack_s_in_front_is_the_source(house: House, by: str) -> None:
    fox = house.wire.hand_in(png(64, 32))
    await house.ada.say("look", files=[fox])
    address = house.wire.about_file(fox)["url_private"]
    if by == "mention":
        await house.ada.say(f"<@{BOT}> <{address}> a fox in oil")
    else:
        await house.ada.slash(f"/imagine <{address}> a fox in oil")
    job = await house.ended()
    assert job.request.source and job.prompt == "a fox in oil" and job.request.width > job.request.height


async def test_a_file_that_was_not_shared_here_is_not_fetched(house: House) -> None:
    secret = house.wire.hand_in(png())
    address = house.wire.about_file(secret)["url_private"]
    await house.ada.slash(f"/imagine <{address}> a fox in oil")
    await house.ada.see("That is in another channel.")
    await house.ada.slash("/imagine <https://example.org/a.png> a fox in oil")
    refused = await house.ada.see("fetches no images from that address")
    assert await house.jobs() == []
    await house.ada.press(refused, "Leave it out")
    assert (await house.ended()).prompt == "a fox in oil"


async def test_of_several_pictures_it_asks_which_privately(house: House) -> None:
    one, two = house.wire.hand_in(png(), name="one.png"), house.wire.hand_in(png(64, 32), name="two.png")
    await house.ada.say(f"<@{BOT}> in oil", files=[one, two])
    question = await house.ada.see("Which one is meant?")
    assert house.ben.sees("Which one is meant?") is None and await house.jobs() == []

    await house.ada.press(question, "2. two.png")
    job = await house.ended()
    assert job.request.source and job.request.width > job.request.height


async def test_a_mention_without_words_is_told_how(house: House) -> None:
    await house.ada.say(f"<@{BOT}>")

    await house.ada.see("Describe an image")
    assert await house.jobs() == []


async def test_the_assistant_panel_answers_plain_words_with_pictures(house: House) -> None:
    root = await house.ada.opens_panel()
    key = (root.channel, root.ts)
    await house.wire.until(lambda: key in house.wire.threads and house.wire.threads[key].prompts)

    await house.ada.say("a red fox", root.channel, thread=root.ts)

    job = await house.ended()
    assert house.message(job).thread == root.ts and job.prompt == "a red fox"


# ---- shortcuts


async def test_the_global_shortcut_opens_the_form(house: House) -> None:
    (name,) = [
        each["name"] for each in house.wire.manifest["features"]["shortcuts"] if each["type"] == "global"
    ]
    await house.ada.shortcut(name)
    form = await house.ada.form()

    await house.ada.submit(form, prompt="a wolf")

    job = await house.ended()
    assert job.prompt == "a wolf" and house.ada.sees(DONE, house.message(job).channel)


async def test_somebody_s_picture_becomes_a_source(house: House) -> None:
    fox = house.wire.hand_in(png())
    said = await house.ben.say("my fox", files=[fox])

    await house.ada.shortcut("Use as reference", said)
    await house.ada.submit(await house.ada.form(), prompt="in oil")

    job = await house.ended()
    assert job.request.source and job.prompt == "in oil"


async def test_own_pictures_become_a_source(house: House) -> None:
    message = await house.painted("/imagine a fox")

    await house.ben.shortcut("Use as reference", message)
    await house.ben.submit(await house.ben.form(), prompt="in oil")

    assert (await house.ended(count=2)).request.source


async def test_the_menu_edits(house: House) -> None:
    message = await house.painted("/imagine a fox")
    parent = await house.newest()

    await house.ada.shortcut("Edit…", message)
    await house.ada.submit(await house.ada.form(), prompt="a wolf")

    child = await house.ended(count=2)
    assert (child.parent, child.prompt) == (parent.id, "a wolf")


@pytest.mark.parametrize(("name", "action"), [("Variations", "vary_subtle"), ("Upscale", "upscale")])
async def test_the_menu_does_what_buttons_do(house: House, name: str, action: str) -> None:
    message = await house.painted("/imagine a fox --count 1")

    await house.ada.shortcut(name, message)

    assert (await house.ended(count=2)).action == action


@pytest.mark.parametrize("name", ["Use as reference", "Variations", "Upscale", "Edit…"])
async def test_the_menu_of_a_message_without_pictures_says_so(house: House, name: str) -> None:
    said = await house.ben.say("no picture here")

    await house.ada.shortcut(name, said)

    assert (await house.ada.see("image")).only in (ADA, "")
    assert await house.jobs() == []


# ---- questions


QUESTIONS = {
    "queue": "The queue is empty",
    "history": "none yet",
    "quota": "quota",
    "styles": "watercolour",
    "settings": "Your settings",
    "help": "/imagine",
    "help imagine": "--style",
    "studio": "<http://127.0.0.1:8000/login/link/",
}


@pytest.mark.parametrize(("question", "answer"), QUESTIONS.items())
async def test_questions_are_answered_privately(house: House, question: str, answer: str) -> None:
    await house.ada.slash(f"/easel {question}")

    told = await house.ada.see(answer)
    assert told.only == ADA and house.ben.sees(answer) is None


async def test_easel_alone_helps(house: House) -> None:
    await house.ada.slash("/easel")

    assert (await house.ada.see("/imagine")).only == ADA


async def test_an_unknown_word_after_easel_is_met_with_the_nearest(house: House) -> None:
    await house.ada.slash("/easel histroy")

    assert "history" in (await house.ada.see("There is no command")).shown


async def test_settings_are_kept(house: House) -> None:
    await house.ada.slash("/easel settings --style watercolour --count 2")
    await house.ada.see("Style: Watercolour")
    await house.painted("/imagine a fox")

    job = await house.newest()
    assert (job.style, job.request.count) == ("watercolour", 2)


async def test_a_job_is_shown_cancelled_enlarged_and_varied_by_its_id(opened: Opens) -> None:
    async with opened(step_seconds=0.01) as house:
        await house.painted("/imagine a fox")
        id = (await house.newest()).id
        await house.ada.slash(f"/easel show {id}")
        told = await house.wire.until(
            lambda: next((m for m in house.wire.visible() if m.only and DONE in m.shown), None)
        )
        assert told.pictures and "U1" in told.labels

        await house.ada.slash(f"/easel upscale {id} 2")
        assert (await house.ended(count=2)).request.task.factor == 4
        await house.ada.slash(f"/easel vary {id} 2 strong")
        assert (await house.ended(count=3)).action == "vary_strong"
        await house.ada.slash("/easel cancel")
        await house.ada.see("You have no unfinished job")


async def test_the_history_shows_pictures_again(house: House) -> None:
    await house.painted("/imagine a fox")
    await house.ada.slash("/easel history")
    told = await house.ada.see("1. a fox")

    await house.ada.press(told, "1")

    await house.wire.until(lambda: [m for m in house.wire.visible() if m.only == ADA and "U1" in m.labels])


# ---- private, then shared


async def test_a_private_picture_is_shared_when_it_pleases(house: House) -> None:
    await house.ada.slash("/imagine a fox --private")
    job = await house.ended()
    mine = house.ada.sees(DONE)
    assert mine and mine.pictures and house.ben.sees("a fox") is None

    await house.ada.press(mine, "Share to channel")
    await house.ada.submit(await house.ada.form("Share"))

    shared = await house.ben.see(DONE, GENERAL)
    assert shared.pictures and not shared.only
    await house.opened_up(job.id)
    await house.ben.press(shared, "Again")
    assert (await house.ended(count=2)).parent == job.id


async def test_what_was_shared_goes_with_the_rest(house: House) -> None:
    await house.ada.slash("/imagine a fox --private")
    await house.ended()
    mine = house.ada.sees(DONE)
    assert mine
    await house.ada.press(mine, "Share to channel")
    await house.ada.submit(await house.ada.form("Share"), where=GENERAL)
    shared = await house.ben.see(DONE, GENERAL)
    await house.opened_up((await house.newest()).id)

    await house.ada.press(mine, "Delete")

    await house.wire.until(lambda: shared.shown == "These images were deleted.")
    assert shared.pictures == [] and mine.pictures == []


async def test_sharing_where_the_app_is_not_says_so(house: House) -> None:
    house.wire.channels["G9"] = Channel("G9", "closed", "group", {ADA})
    await house.ada.slash("/imagine a fox --private")
    await house.ended()
    await house.ada.press(house.ada.sees(DONE), "Share to channel")  # type: ignore[arg-type]

    sent = await house.ada.submit(await house.ada.form("Share"), where="G9")

    await house.wire.until(lambda: house.ada.sees("Invite Easel") or "Invite" in str(sent.answer))
    assert (await house.newest()).origin.private


async def test_a_private_default_is_kept(house: House) -> None:
    await house.ada.slash("/easel settings --private yes")
    await house.ada.see("Private: yes")
    await house.ada.slash("/imagine a fox")

    await house.ended()
    assert house.ben.sees("a fox") is None and house.ada.sees(DONE)


# ---- what is asked in a closed channel stays there


def _said_to(person: Person, text: str) -> list[Message]:
    return [message for message in person.wire.visible(person.id) if text in message.shown]


async def test_a_private_channel_s_pictures_are_not_shown_elsewhere(house: House) -> None:
    message = await house.painted("/imagine a fox", channel=SECRET)
    job = await house.newest()
    assert job.origin.seen_in == (SECRET,)

    await house.ben.slash("/easel history everyone=yes")
    assert "a fox" not in (await house.ben.see("none yet")).shown
    for line in (f"/easel show {job.id}", f"/easel vary {job.id}", f"/imagine a wolf --source {job.id}:1"):
        await house.ben.slash(line)
    copied = house.wire.keep(replace(message, ts=house.wire.new_ts(), channel=GENERAL))
    await house.ben.press(copied, "Info")
    await house.ben.shortcut("Use as reference", copied)
    await house.wire.until(lambda: len(_said_to(house.ben, "There is no job")) == 5)
    assert len(await house.jobs()) == 1

    await house.boss.slash("/easel history everyone=yes", SECRET)
    assert (await house.boss.see("1. a fox", SECRET)).only == house.boss.id
    await house.boss.press(message, "Again")
    child = await house.ended(count=2)
    assert house.message(child).channel == SECRET and not child.origin.private


async def test_one_s_own_picture_of_a_private_channel_is_varied_privately_elsewhere(house: House) -> None:
    await house.painted("/imagine a fox", channel=SECRET)
    job = await house.newest()

    await house.ada.slash(f"/easel vary {job.id}")

    child = await house.ended(count=2)
    assert child.origin.private and house.ben.sees("a fox") is None


async def test_a_reply_in_a_private_channel_edits_a_picture_there(house: House) -> None:
    message = await house.painted("/imagine a fox", channel=SECRET)

    await house.boss.say("make it blue", SECRET, thread=message.ts)

    child = await house.ended(count=2)
    assert child.request.source and house.message(child).channel == SECRET


async def test_what_is_shared_in_a_private_channel_is_for_its_people(house: House) -> None:
    await house.ada.slash("/imagine a fox --private")
    job = await house.ended()
    await house.ada.press(house.ada.sees(DONE), "Share to channel")  # type: ignore[arg-type]
    await house.ada.submit(await house.ada.form("Share"), where=SECRET)
    await house.boss.see(DONE, SECRET)

    assert (await house.opened_up(job.id)).origin.seen_in == (SECRET,)
    await house.ben.slash("/easel history everyone=yes")
    assert "a fox" not in (await house.ben.see("none yet")).shown


@pytest.mark.parametrize("error", ["internal_error", "missing_scope"])
async def test_a_channel_that_slack_does_not_tell_about_counts_as_closed(house: House, error: str) -> None:
    house.wire.faults.append(Fault("conversations.info", error))

    await house.painted()

    assert (await house.newest()).origin.seen_in == (GENERAL,)


async def test_a_channel_is_asked_about_once(house: House) -> None:
    for _ in range(3):
        await house.painted()

    assert len(house.wire.calls_of("conversations.info")) == 1


async def test_what_is_made_of_a_private_picture_is_private(house: House) -> None:
    await house.ada.slash("/imagine a fox --private")
    await house.ended()

    await house.ada.press(house.ada.sees(DONE), "Again")  # type: ignore[arg-type]

    child = await house.ended(count=2)
    assert child.origin.private and house.ben.sees("a fox") is None


# ---- time


async def test_after_half_an_hour_everything_still_works(opened: Opens) -> None:
    async with opened(step_seconds=0.05) as house:
        await house.ada.slash("/imagine a fox")
        await house.ada.see("a fox")
        house.wire.pass_time(31 * 60)

        job = await house.ended()
        message = house.message(job)
        assert DONE in message.shown and message.pictures
        house.wire.pass_time(31 * 60)
        await house.ada.press(message, "Info")
        await house.ada.see(f"Job: {job.id}")


async def test_a_private_result_outlives_its_response_url(opened: Opens) -> None:
    async with opened(step_seconds=0.05) as house:
        await house.ada.slash("/imagine a fox --private")
        await house.ada.see("a fox")
        house.wire.pass_time(31 * 60)

        await house.ended()
        message = house.ada.sees(DONE)
        assert message and message.pictures and house.ben.sees("a fox") is None


async def test_a_response_url_is_never_used_up(opened: Opens) -> None:
    async with opened(step_seconds=0.05, edit_interval=0.01) as house:
        await house.ada.slash("/imagine a fox --private")
        await house.ended()
        assert house.ada.sees(DONE)

        for _ in range(7):
            await house.ada.press(house.ada.sees(DONE), "Info")  # type: ignore[arg-type]
        job = await house.newest()
        await house.wire.until(
            lambda: (
                len([m for m in house.wire.visible() if f"Job: {job.id}" in m.shown]) == 7
                or house.ada.sees(f"Job: {job.id}")
            )
        )
        assert not [post for post in house.wire.posts if "error" in post]


# ---- the home tab


async def test_the_home_tab_shows_a_member_their_own(opened: Opens) -> None:
    async with opened() as house:
        await house.painted("/imagine a red fox")
        await house.painted("/imagine a grey wolf", house.ben)

        await house.ada.opens_home()

        home = await house.ada.home("a red fox")
        assert "a grey wolf" not in home.shown
        assert "reset" in home.shown and "of" in home.shown
        assert any(part.get("slack_file") for part in _images(home.data))


async def test_the_home_tab_speaks_the_person_s_language(opened: Opens) -> None:
    async with opened() as house:
        house.wire.users[ADA].locale = "de-DE"
        await house.painted("/imagine a red fox")

        await house.ada.opens_home()

        home = await house.ada.home("a red fox")
        assert "Meine letzten Bilder" in home.shown and "My last images" not in home.shown
        assert "Vorgaben ändern" in home.labels and "Refresh" not in home.labels


async def test_buttons_of_the_home_tab_work(house: House) -> None:
    await house.painted("/imagine a red fox --count 1")
    await house.ada.opens_home()
    home = await house.ada.home("a red fox")
    assert home.labels

    await house.ada.press(
        home, next(label for label in home.labels if label.startswith(("Again", "U1", "Upscale")))
    )

    child = await house.ended(count=2)
    assert child.parent


async def test_a_running_job_is_cancelled_from_the_home_tab(opened: Opens) -> None:
    async with opened(step_seconds=1.0) as house:
        await house.ada.slash("/imagine a red fox")
        await house.ada.see("a red fox")
        await house.ada.opens_home()
        home = await house.ada.home("a red fox")

        await house.ada.press(home, "Cancel")

        await house.until((await house.newest()).id, State.CANCELLED)


async def test_the_home_tab_shows_an_admin_the_team(opened: Opens) -> None:
    async with opened(step_seconds=0.5) as house:
        await house.ada.slash("/imagine a red fox")
        await house.ada.see("a red fox")
        await house.boss.opens_home()
        await house.ben.opens_home()

        boss, ben = await house.boss.home(), await house.ben.home()
        assert "Ada" in boss.shown and "Ada" not in ben.shown


def _images(view: dict[str, object]) -> list[dict[str, object]]:
    from tests.contract.slack import blocks as kit

    return kit.pictures(view["blocks"])  # type: ignore[arg-type]


# ---- what prompts may not do


PROMPTS = (
    "a fox <!channel> <!here> <!everyone>",
    "a fox <@U3BEN> <!subteam^S1>",
    "a fox @channel @here",
    "*bold* _it_ ~no~ `code` > quote",
    "R&D <b>fox</b> &lt;!channel&gt; &amp;",
    "a fox <https://example.org|a fox>",
    "a\u200bfox\u200d \u2066tilted\u2069",
    "ثعلب أحمر في الثلج",
    "🦊" * 300,
    "a fox :wave: :smile:",
)


@pytest.mark.parametrize("prompt", PROMPTS)
async def test_a_prompt_pings_nobody_and_is_shown_as_typed(house: House, prompt: str) -> None:
    typed = prompt.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    await house.ada.slash(f"/imagine {typed} --count 1")
    job = await house.ended()
    message = house.message(job)

    assert message.shown.startswith(f"<@{ADA}> {' '.join(job.prompt.split())}\n")
    assert message.pings == {ADA}
    assert all(not m.pings for m in house.wire.messages.values() if m.user == BOT and m is not message)
    assert all(call.args.get("parse") != "full" for call in house.wire.calls)
    assert not any(call.args.get("link_names") for call in house.wire.calls)
    await house.ada.press(message, "Info")
    info = await house.ada.see(f"Job: {job.id}")
    assert info.pings == set()


async def test_what_slack_escapes_is_read_as_it_was_typed(house: House) -> None:
    await house.ada.say(f"<@{BOT}> R&amp;D of a &lt;fox&gt; by <https://example.org|example.org> --count 1")
    assert (await house.ended()).prompt == "R&D of a <fox> by example.org"

    await house.ada.slash("/imagine R&amp;D for <@U3BEN|ben> in <#C3RANDOM|random> --count 1")
    assert (await house.ended(count=2)).prompt == "R&D for @ben in #random"


async def test_the_longest_prompt_fits_everywhere(house: House) -> None:
    message = await house.painted("/imagine " + "&lt;*" * 1999)

    assert message.pings == {ADA} and message.pictures
    await house.ada.slash("/easel history")
    await house.ada.see("1. ")
    await house.ada.opens_home()
    await house.ada.home()


async def test_nothing_unfurls(house: House) -> None:
    await house.painted("/imagine a fox https://example.org")

    for call in house.wire.calls_of("chat.postMessage"):
        assert call.args.get("unfurl_links") in (False, "false", "0")
        assert call.args.get("unfurl_media") in (False, "false", "0")


def test_a_message_knows_whom_it_pings() -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "<!channel>"}}]
    assert Message("1.0", GENERAL, BOT, blocks=blocks).pings == {"<!channel>"}


async def test_people_are_answered_in_the_language_of_their_slack(house: House) -> None:
    house.wire.users[ADA].locale = "de-DE"
    await house.ada.slash("/imagine Cancel")
    job = await house.ended()

    message = house.message(job)
    assert message.shown.startswith(f"<@{ADA}> Cancel\n") and {"Noch einmal", "Bearbeiten"} <= set(
        message.labels
    )
    assert job.origin.language == "de"


# ---- /easel verify


def link_of(message: Message) -> str:
    return f"https://home.slack.com/archives/{message.channel}/p{message.ts.replace('.', '')}"


@pytest.mark.parametrize("named", ["<{link}>", "{ts}", "message={link}", "{link}?cid=C1"])
async def test_a_message_is_verified_by_its_link(house: House, named: str) -> None:
    message = await house.painted("/imagine a fox --count 1")

    await house.ben.slash(f"/easel verify {named.format(link=link_of(message), ts=message.ts)}")

    told = await house.ben.see("Made by this Easel, and unchanged since.")
    assert told.only == house.ben.id


@pytest.mark.parametrize("which", ["message", "reply", "file"])
async def test_people_s_pictures_are_verified_by_link(house: House, which: str) -> None:
    fox = house.wire.hand_in(png())
    message = await house.ben.say("my fox", files=[fox])
    reply = await house.ben.say("again", thread=message.ts, files=[house.wire.hand_in(png())])
    named = {
        "message": link_of(message),
        "reply": f"{link_of(reply)}?thread_ts={message.ts}&cid={GENERAL}",
        "file": f"https://home.slack.com/files/{fox.owner}/{fox.id}/fox.png",
    }

    await house.ada.slash(f"/easel verify <{named[which]}>")

    assert (await house.ada.see("Nothing in it says that this Easel made it.")).only == ADA


@pytest.mark.parametrize("which", ["message", "file"])
async def test_what_lies_in_another_channel_is_not_looked_at(house: House, which: str) -> None:
    fox = house.wire.hand_in(png())
    message = await house.ben.say("my fox", SECRET, files=[fox])
    file = f"https://home.slack.com/files/{fox.owner}/{fox.id}/fox.png"

    await house.ada.slash(f"/easel verify {file if which == 'file' else link_of(message)}")

    await house.ada.see("That is in another channel.")


async def test_messages_that_are_not_there_say_so(house: House) -> None:
    words = await house.ben.say("only words")
    gone = link_of(words).replace(f"p{words.ts[:4]}", "p1234")
    for named, why in (
        (link_of(words), "There is no image in that message."),
        (gone, "Easel cannot see that message."),
        ("nonsense", "There is no job nonsense here."),
    ):
        await house.ada.slash(f"/easel verify {named}")
        await house.ada.see(why)


async def test_a_file_that_is_not_there_says_so(house: House) -> None:
    await house.ada.slash("/easel verify https://home.slack.com/files/U1/F000NONE/fox.png")
    await house.ada.see("Easel cannot see that message.")


async def test_several_pictures_of_a_message_are_verified(house: House) -> None:
    files = [house.wire.hand_in(png()), house.wire.hand_in(png()[:60]), house.wire.hand_in(png())]
    message = await house.ben.say("look", files=files)

    await house.ada.shortcut("Verify", message)

    told = await house.ada.see("1. Nothing in it says")
    assert "2. Only a PNG" in told.shown and "3. Nothing" in told.shown and told.only == ADA


# ---- /easel describe, shorten


async def test_a_message_s_picture_is_described_by_its_link(house: House) -> None:
    message = await house.painted("/imagine a fox --count 1")
    await house.ada.slash(f"/easel describe {link_of(message)}")
    assert (await house.ada.see("What this image shows")).only == ADA


async def test_a_shortened_prompt_is_edited_and_taken_back(house: House) -> None:
    await house.ada.slash("/easel shorten please paint a very red fox, masterpiece --count 1")
    told = await house.ada.see("Before: please paint")
    assert told.only == ADA and await house.jobs() == []

    await house.ada.press(told, "Edit")
    await house.ada.submit(await house.ada.form(), prompt="a red fox in snow")
    assert (await house.ended()).prompt == "a red fox in snow"

    await house.ada.press(told, "Undo")
    former = await house.ada.see("The prompt as it was")
    await house.ada.press(former, "Paint this")
    assert (await house.ended(count=2)).prompt == "please paint a very red fox, masterpiece"
