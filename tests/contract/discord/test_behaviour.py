"""What people do on Discord, and what they see."""

from __future__ import annotations

import asyncio
import io
import re
from typing import Any

import discord
import pytest
from discord.ui import ActionRow, Button, LayoutView
from PIL import Image

from bot.adapters.discord import links
from bot.adapters.discord.context import vault
from bot.errors import StoreError
from bot.models import State
from engine.errors import OutOfMemory
from tests.contract.discord.conftest import Opens, Server, labels, png, said


async def test_a_slash_command_becomes_pictures(server: Server) -> None:
    job, message = await server.painted("a red fox in snow", count=2)

    assert said(message).startswith(f"<@{server.ada.id}> **a red fox in snow**\n")
    assert labels(message)[-3:] == ["Again", "Edit", "⋯"]
    assert [a.description for a in message.attachments] == [
        "a red fox in snow, image 1",
        "a red fox in snow, image 2",
    ]
    for attachment in message.attachments:
        assert Image.open(io.BytesIO(await attachment.read())).size == (64, 64)
    assert job.origin.member.name == "ada"
    assert len(server.channel.history(viewer=server.ben)) == 1


async def test_the_token_of_an_interaction_is_sealed_at_rest(server: Server) -> None:
    job, _ = await server.painted()

    token = vault(server.client).decrypt(job.origin.reply["token"].encode())

    files = [path for path in server.house.settings.data_dir.glob("easel.db*") if path.stat().st_size]
    assert token and files
    assert not any(token in path.read_bytes() for path in files)


async def test_a_prompt_pings_nobody_and_is_shown_as_typed(server: Server) -> None:
    _, message = await server.painted(f"@everyone {server.ben.mention} **fox** `x` https://example.org")

    assert not message.mention_everyone and [each.id for each in message.mentions] == [server.ada.id]
    assert "@everyone" not in said(message).replace("\\@everyone", "")
    assert "\\*\\*fox\\*\\*" in said(message)
    for request in server.env.http_requests:
        body = request.json or {}
        if "components" in body:
            assert body.get("allowed_mentions", {}).get("parse") == []


async def test_the_longest_prompt_fits(server: Server) -> None:
    _, message = await server.painted("*_" * 1999)

    assert len(said(message)) <= 4000
    assert said(message).startswith(f"<@{server.ada.id}> **\\*\\_")
    assert all(len(a.description or "") <= 1024 for a in message.attachments)


@pytest.mark.parametrize("command", ["queue", "history", "quota", "styles", "settings", "help", "studio"])
async def test_questions_are_answered_privately(server: Server, command: str) -> None:
    result = await server.ada.slash(server.channel, command)

    assert result.response is not None and result.response.ephemeral
    assert len(said(result.response)) > 10
    assert server.channel.history(viewer=server.ben) == []


async def test_studio_answers_with_a_link_that_can_be_pressed(server: Server) -> None:
    result = await server.ada.slash(server.channel, "studio")

    assert result.response is not None and result.response.ephemeral
    assert re.search(r"(?<!\S)http://127\.0\.0\.1:8000/login/link/[0-9a-f]{64}(?!\S)", said(result.response))


async def test_a_refusal_is_private_and_its_offer_works(server: Server) -> None:
    result = await server.ada.slash(server.channel, "imagine", prompt="a fox", count=16)

    (refusal,) = result.followups
    assert refusal.ephemeral and "Try --count 4." in said(refusal)
    assert server.channel.history(viewer=server.ben) == []

    await server.ada.click(refusal, label="Make 4 images")

    job = await server.ended()
    assert job.request.count == 4
    assert len(server.channel.history(viewer=server.ben)) == 1


async def test_buttons_work_after_a_restart(server: Server) -> None:
    job, message = await server.painted()

    await server.restart()
    await server.ada.click(message, label="U2")

    child = await server.ended()
    assert (child.parent, child.parent_index, child.request.task.factor) == (job.id, 1, 4)
    assert labels(server.message(child)) == ["Upscale", "Vary (subtle)", "Edit", "⋯"]


async def test_the_dots_answer_with_what_is_behind_them_for_whoever_pressed(server: Server) -> None:
    _, message = await server.painted(count=2)

    mine = (await server.ada.click(message, label="⋯")).response
    theirs = (await server.ben.click(message, label="⋯")).response

    assert mine.ephemeral and theirs.ephemeral
    of_each = ("V1 strong", "V2 strong", "Image 1 …", "Image 2 …")
    parts = ("Change a region", "Extend", "Sizes")
    assert labels(mine) == [
        *of_each,
        *parts,
        "Info",
        "Favourite",
        "Download",
        "Download as …",
        "Alt text",
        "Delete",
        "Report",
    ]
    assert labels(theirs) == [
        *of_each,
        *parts,
        "Info",
        "Favourite",
        "Download",
        "Download as …",
        "Report",
    ]


async def test_what_is_behind_the_dots_paints_for_all(server: Server) -> None:
    job, message = await server.painted(count=2)

    await server.choose(server.ben, message, "V2 strong")

    child = await server.ended()
    assert (child.parent, child.parent_index, child.action) == (job.id, 1, "vary_strong")
    assert server.message(child).id in [m.id for m in server.channel.history(viewer=server.ada)]


async def test_a_stranger_s_delete_is_refused_privately(server: Server) -> None:
    job, _ = await server.painted()
    old = LayoutView(timeout=None)  # as messages were before they had ⋯
    old.add_item(ActionRow(Button(label="Delete", custom_id=f"v1:delete:{job.id}")))
    message = await server.client.get_channel(server.channel.id).send(view=old)  # type: ignore[union-attr]

    result = await server.ben.click(message, label="Delete")

    (refusal,) = result.followups
    assert refusal.ephemeral
    assert said(refusal) == "Only ada or an administrator can do that."


async def test_deleting_leaves_nothing_but_a_sentence(server: Server) -> None:
    job, message = await server.painted()

    await server.choose(server.ada, message, "Delete")

    await server.house.until(job.id, State.DELETED)
    after = server.message(job)
    assert said(after) == "These images were deleted."
    assert after.attachments == [] and labels(after) == []


async def test_a_button_of_a_deleted_job_says_so(server: Server) -> None:
    job, _ = await server.painted()
    history = await server.ada.slash(server.channel, "history")
    await server.house.store.delete(job.id)

    result = await server.ada.click(history.response, label="1")

    assert result.response is not None and result.response.ephemeral
    assert said(result.response) == "Those images were deleted."


async def test_info_is_for_the_one_who_asked(server: Server) -> None:
    job, message = await server.painted(seed=7)

    result = await server.choose(server.ben, message, "Info")

    assert result.response is not None and result.response.ephemeral
    assert f"Job: {job.id}" in said(result.response) and "Seeds: 7 to 10" in said(result.response)


async def test_a_form_edits_and_paints_again_even_after_a_restart(server: Server) -> None:
    job, message = await server.painted("a fox", seed=7, style="noir")
    shown = await server.ada.click(message, label="Edit")
    assert shown.modal is not None and len(shown.modal["components"]) == 5

    await server.restart()
    fields = {"prompt": "a wolf", "style": ["watercolour"], "flags": "--count 1 --seed 9"}
    await server.ada.submit_modal(shown, fields)

    child = await server.ended()
    assert (child.prompt, child.style, child.parent) == ("a wolf", "watercolour", job.id)
    assert (child.request.count, child.request.seed) == (1, 9)


async def test_a_form_s_other_options_are_flags(server: Server) -> None:
    _, message = await server.painted("a fox")
    shown = await server.ada.click(message, label="Edit")

    result = await server.ada.submit_modal(shown, {"prompt": "a wolf", "flags": "very nice"})

    assert result.response is not None and result.response.ephemeral and result.followups == []
    assert said(result.response).startswith("“very nice” is not an option.")


async def test_a_form_takes_a_picture(server: Server) -> None:
    _, message = await server.painted("a fox")
    shown = await server.ada.click(message, label="Edit")

    await server.ada.submit_modal(shown, {"prompt": "a wolf", "flags": "", "source": ("w.png", png())})

    assert (await server.ended()).request.source is not None


async def test_a_picture_is_a_source(server: Server) -> None:
    await server.ada.slash(server.channel, "edit", source=("fox.png", png()), prompt="in oil", strength=0.3)

    job = await server.ended()
    assert job.request.source and job.request.task.strength == 0.3


async def test_a_file_that_is_no_picture_is_refused(server: Server) -> None:
    result = await server.ada.slash(
        server.channel, "edit", source=("fox.png", b"no picture"), prompt="in oil"
    )

    (refusal,) = result.followups
    assert refusal.ephemeral and "isn't a PNG, JPEG or WebP image" in said(refusal)


async def test_private_pictures_are_seen_by_one_alone(server: Server) -> None:
    result = await server.ada.slash(server.channel, "imagine", prompt="a fox", private=True)

    await server.ended()
    assert result.response is not None and result.response.ephemeral
    assert server.channel.history(viewer=server.ben) == []


async def test_a_private_default_is_known_before_the_answer_is_deferred(server: Server) -> None:
    await server.ada.slash(server.channel, "settings", private=True)

    result = await server.ada.slash(server.channel, "imagine", prompt="a fox")

    await server.ended()
    (message,) = [m for m in server.channel.history(viewer=server.ada) if m.id == result.response.id]
    assert result.response.ephemeral and len(message.attachments) == 4 and result.followups == []
    assert server.channel.history(viewer=server.ben) == []


async def test_what_starts_from_a_private_picture_is_private(server: Server) -> None:
    await server.ada.slash(server.channel, "imagine", prompt="a fox", private=True)
    job = await server.ended()

    for name, options in (
        ("upscale", {"job": job.id}),
        ("vary", {"job": job.id, "strength": "strong"}),
        ("imagine", {"prompt": f"in oil --source {job.id}:1"}),
    ):
        result = await server.ada.slash(server.channel, name, **options)
        assert result.response is not None and result.response.ephemeral and result.followups == []
        assert (await server.ended()).origin.private
    assert server.channel.history(viewer=server.ben) == []


async def test_a_closed_channel_s_pictures_are_not_shown_elsewhere(server: Server) -> None:
    see, hide = (
        discord.PermissionOverwrite(view_channel=True),
        discord.PermissionOverwrite(view_channel=False),
    )
    me = server.client.user
    assert me is not None
    den = server.guild.create_text_channel(
        "den", overwrites={server.guild.default_role: hide, server.ada: see, me: see}
    )
    await server.ada.slash(den, "imagine", prompt="a secret fox", count=1)
    job = await server.ended()

    history = await server.ben.slash(server.channel, "history", everyone=True)
    shown = await server.ben.slash(server.channel, "show", job=job.id)
    mine = await server.ada.slash(server.channel, "vary", job=job.id)

    assert job.origin.seen_in == (str(den.id),)
    assert "secret" not in said(history.response) and "There is no job" in said(shown.response)
    assert mine.response.ephemeral and (await server.ended()).origin.private
    await server.ada.slash(den, "upscale", job=job.id)
    assert not (await server.ended()).origin.private


async def test_a_press_in_a_private_list_paints_a_public_job_for_all(server: Server) -> None:
    await server.painted()
    history = await server.ada.slash(server.channel, "history")
    shown = await server.ada.click(history.response, label="1")

    result = await server.ada.click(shown.response, label="U1")

    child = await server.ended()
    assert not child.origin.private and result.followups == []
    assert server.message(child).id in [m.id for m in server.channel.history(viewer=server.ben)]


async def test_a_result_links_to_the_message_that_it_came_from(server: Server) -> None:
    _, message = await server.painted(count=1)
    address = f"https://discord.com/channels/{server.guild.id}/{server.channel.id}/{message.id}"

    await server.ada.click(message, label="Upscale")
    enlarged = server.message(await server.ended())
    await server.ada.click(message, label="Vary (subtle)")
    varied = server.message(await server.ended())

    assert said(enlarged).endswith(f" · [from an earlier image]({address})")
    assert said(varied).endswith(f" · [from an earlier image]({address})")


async def test_autocomplete_offers_styles_and_jobs(server: Server) -> None:
    job, _ = await server.painted()

    styles = await server.ada.autocomplete(server.channel, "imagine", "style", "water", prompt="x")
    jobs = await server.ada.autocomplete(server.channel, "show", "job", "fox")

    assert styles == [{"name": "Watercolour", "value": "watercolour"}]
    assert jobs == [{"name": "a red fox in snow", "value": job.id}]


async def test_the_message_menu_upscales_a_single_picture(server: Server) -> None:
    job, message = await server.painted(count=1)

    await server.ben.context_menu(server.channel, "Upscale", message)

    child = await server.ended()
    assert child.parent == job.id and child.origin.member.name == "ben"
    assert not child.origin.private


async def test_the_message_menu_lets_one_choose_of_several(server: Server) -> None:
    _, message = await server.painted()

    result = await server.ben.context_menu(server.channel, "Variations", message)

    assert result.response is not None and result.response.ephemeral
    assert "V3 subtle" in labels(result.response)


async def test_the_message_menu_uses_anybody_s_picture_as_source(server: Server) -> None:
    message = await server.ben.send(server.channel, "look", attachments=[("b.png", png())])

    shown = await server.ada.context_menu(server.channel, "Use as reference", message)
    await server.ada.submit_modal(shown, {"prompt": "in oil", "flags": ""})

    assert (await server.ended()).request.source


async def test_the_message_menu_refuses_what_holds_no_picture(server: Server) -> None:
    message = await server.ben.send(server.channel, "only words")

    for name in ("Use as reference", "Upscale", "Verify"):
        result = await server.ada.context_menu(server.channel, name, message)
        assert result.response is not None and result.response.ephemeral
        assert "image" in said(result.response)


async def test_a_mention_with_plain_words_paints(server: Server) -> None:
    me = server.client.user
    assert me
    await server.ada.send(server.channel, f"{me.mention} two pictures of a sleeping cat as pixel art")

    job = await server.ended()
    assert (job.prompt, job.style, job.request.count) == ("a sleeping cat", "pixel-art", 2)
    message = server.message(job)
    assert len(message.attachments) == 2 and message.reference is not None


async def test_a_message_that_mentions_nobody_is_not_for_us(server: Server) -> None:
    await server.ada.send(server.channel, "a red fox in snow")

    assert len(server.channel.history(viewer=server.ada)) == 1
    assert await server.house.jobs() == []


async def test_words_in_a_direct_message_paint(server: Server) -> None:
    await server.ada.send_dm("a red fox in snow")

    job = await server.ended()
    assert job.origin.member.tenant == f"discord:dm:{server.ada.id}"
    assert len(server.ada.user.dm_channel.last_message.attachments) == 4


async def test_commands_work_in_direct_messages(server: Server) -> None:
    await server.ada.user.slash("imagine", prompt="a fox", count=1)

    job = await server.ended()
    assert job.origin.member.tenant == f"discord:dm:{server.ada.id}" and not job.origin.member.admin
    assert len(server.ada.user.dm_channel.last_message.attachments) == 1


async def test_a_reply_to_a_picture_changes_it(server: Server) -> None:
    job, message = await server.painted()
    me = server.client.user
    assert me
    await server.ada.send(server.channel, f"{me.mention} make it winter", reply_to=message)

    child = await server.ended()
    (first,) = [each.blob for each in job.pictures if each.index == 0]
    assert (child.prompt, child.request.source, child.parent) == ("a red fox in snow, winter", first, job.id)
    assert "from an earlier image" in said(server.message(child))


async def test_a_reply_with_a_picture_of_its_own_starts_from_that(server: Server) -> None:
    job, message = await server.painted(count=1)
    me = server.client.user
    assert me
    mine = [("mine.png", png())]
    await server.ada.send(server.channel, f"{me.mention} in oil", reply_to=message, attachments=mine)

    child = await server.ended()
    assert child.request.source not in {None, *(each.blob for each in job.pictures)}
    assert child.parent is None


@pytest.mark.parametrize("by", ["mention", "command"])
async def test_an_address_of_discord_s_in_front_is_the_source(
    server: Server, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fetch(url: str, check_size: Any) -> bytes:
        assert url == address
        return png(64, 32)

    monkeypatch.setattr(links, "fetch", fetch)
    address = "https://cdn.discordapp.com/attachments/1/2/fox.png?ex=ffffffff&is=1&hm=2"
    me = server.client.user
    assert me
    if by == "mention":
        await server.ada.send(server.channel, f"{me.mention} {address} a fox in oil")
    else:
        await server.ada.slash(server.channel, "imagine", prompt=f"{address} a fox in oil")
    job = await server.ended()
    assert job.request.source and job.prompt == "a fox in oil" and job.request.width > job.request.height


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("https://example.org/fox.png", "fetches no images from that address"),
        ("https://cdn.discordapp.com.example.org/fox.png", "fetches no images from that address"),
        ("http://cdn.discordapp.com/fox.png", "fetches no images from that address"),
        ("https://a@cdn.discordapp.com/fox.png", "fetches no images from that address"),
        ("https://cdn.discordapp.com:8443/fox.png", "fetches no images from that address"),
        ("https://media.discordapp.net/fox.png?ex=65000000", "That link has expired"),
    ],
)
async def test_no_other_address_is_fetched(server: Server, address: str, says: str) -> None:
    shown = await server.ada.slash(server.channel, "imagine", prompt=f"{address} a fox")
    refusal = shown.followups[-1] if shown.followups else shown.response
    assert says in said(refusal) and await server.house.store._jobs() == []


async def test_of_several_pictures_it_asks_which(server: Server) -> None:
    me = server.client.user
    assert me
    files = [("one.png", png()), ("two.png", png(64, 32)), ("notes.txt", b"words")]
    await server.ada.send(server.channel, f"{me.mention} paint it in oil", attachments=files)
    async with asyncio.timeout(20):
        while not (  # noqa: ASYNC110 only the channel knows
            asked := [m for m in server.channel.history(viewer=server.ada) if m.author.bot]
        ):
            await asyncio.sleep(0.01)
    assert "You sent 2 images. Which one is meant?" in said(asked[-1])
    assert labels(asked[-1]) == ["1. one.png", "2. two.png"] and await server.house.store._jobs() == []

    await server.ben.click(asked[-1], label="1. one.png")
    assert await server.house.store._jobs() == []
    await server.ada.click(asked[-1], label="2. two.png")
    job = await server.ended()
    assert job.request.source and job.request.width > job.request.height


async def test_of_several_pictures_in_the_menu_it_asks_which_before_the_form(server: Server) -> None:
    files = [("one.png", png()), ("two.png", png())]
    message = await server.ben.send(server.channel, "look", attachments=files)
    asked = await server.ada.context_menu(server.channel, "Use as reference", message)
    assert asked.response is not None and asked.response.ephemeral
    form = await server.ada.click(asked.response, label="1. one.png")
    assert form.modal and "Use as reference" in str(form.modal)


@pytest.mark.parametrize("name", ["film.gif", "drawing.svg"])
async def test_what_is_never_taken_is_refused_before_the_form(server: Server, name: str) -> None:
    message = await server.ben.send(server.channel, "look", attachments=[(name, b"GIF89a")])
    shown = await server.ada.context_menu(server.channel, "Use as reference", message)
    assert not shown.modal and "isn't a PNG, JPEG or WebP" in said(shown.response)


async def test_a_reply_to_a_deleted_picture_says_so_in_private(server: Server) -> None:
    job, message = await server.painted(count=1)
    me = server.client.user
    assert me
    await server.house.store.delete(job.id)
    await server.ada.send(server.channel, f"{me.mention} make it winter", reply_to=message)

    assert said(server.ada.user.dm_channel.last_message) == "Those images were deleted."


async def test_what_cannot_be_completed_at_the_moment_is_left_to_type(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.house.store, "jobs", _unreadable)

    assert await server.ada.autocomplete(server.channel, "show", "job", "fox") == []


async def _unreadable(*_: Any, **__: Any) -> Any:
    raise StoreError("the disk is gone")


async def test_a_mention_that_cannot_be_painted_is_answered_in_private(server: Server) -> None:
    me = server.client.user
    assert me
    asked = await server.ada.send(server.channel, f"{me.mention} a fox --count 16")

    answer = server.ada.user.dm_channel.last_message
    assert "Try --count 4." in said(answer)
    assert server.channel.last_message.id == asked.id, "nothing is said where others read"

    await server.ada.user.click(answer, label="Make 4 images")
    job = await server.ended()
    assert job.request.count == 4 and job.origin.member.tenant == f"discord:dm:{server.ada.id}"


async def test_a_mention_without_words_says_what_to_do(server: Server) -> None:
    me = server.client.user
    assert me
    await server.ada.send(server.channel, me.mention)

    assert "Describe an image" in said(server.channel.last_message)


async def test_a_server_error_is_tried_again(server: Server) -> None:
    server.env.inject_error("PATCH", "/webhooks/*", status=500, times=1)

    job, message = await server.painted(count=1)

    assert len(message.attachments) == 1 and job.reason == ""


async def test_a_failure_is_told_and_can_be_tried_again(opened: Opens) -> None:
    async with opened(fault=lambda job: OutOfMemory("too little")) as server:
        await server.ada.slash(server.channel, "imagine", prompt="a fox")

        message = server.message(await server.ended(State.FAILED))
        assert "Nothing was charged." in said(message) and labels(message) == ["Try again"]


# ---- /verify


async def test_an_attached_picture_is_verified(server: Server) -> None:
    result = await server.ada.slash(server.channel, "verify", picture=("a.png", png()))

    assert result.response is not None and result.response.ephemeral
    assert "Nothing in it says that this Easel made it." in said(result.response)


async def test_a_message_is_verified_by_its_link_or_id(server: Server) -> None:
    _, message = await server.painted("a fox --count 1")
    link = f"https://discord.com/channels/{server.guild.id}/{server.channel.id}/{message.id}"

    for named in (link, str(message.id), link.replace("discord.com", "canary.discord.com")):
        result = await server.ben.slash(server.channel, "verify", message=named)
        assert result.response is not None and result.response.ephemeral
        assert "Made by this Easel, and unchanged since." in said(result.response)


async def test_messages_that_cannot_be_verified_by_a_link_say_why(server: Server) -> None:
    _, message = await server.painted("a fox --count 1")
    other = server.guild.create_text_channel("elsewhere")
    words = await server.ben.send(server.channel, "only words")
    base = f"https://discord.com/channels/{server.guild.id}"
    for channel, named, why in (
        (other, f"{base}/{server.channel.id}/{message.id}", "That message is in another channel."),
        (server.channel, f"{base}/{server.channel.id}/123456789012345678", "cannot see an image"),
        (server.channel, str(words.id), "cannot see an image"),
        (server.channel, "not a link", "There is no job"),
    ):
        result = await server.ada.slash(channel, "verify", message=named)
        assert result.response is not None and result.response.ephemeral
        assert why in said(result.response)


async def test_each_of_several_pictures_is_verified(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.adapters.interactions.MOST_VERIFIED", 2)
    files = [("a.png", png()), ("b.png", b"broken"), ("c.png", png())]
    message = await server.ben.send(server.channel, "look", attachments=files)

    result = await server.ada.context_menu(server.channel, "Verify", message)

    assert result.response is not None and result.response.ephemeral
    told = said(result.response)
    assert "1. Nothing in it says" in told and "2. Only a PNG" in told and "3. " not in told
    assert "Only the first 2 images were checked." in told


async def test_verify_leads_to_the_info_of_a_job_that_one_may_see(server: Server) -> None:
    _, message = await server.painted("a fox --count 1")

    result = await server.ben.context_menu(server.channel, "Verify", message)

    assert result.response is not None and labels(result.response) == ["Info"]


async def test_a_picture_is_described_by_its_link_and_by_an_attachment(server: Server) -> None:
    _, message = await server.painted("a fox --count 1")
    link = f"https://discord.com/channels/{server.guild.id}/{server.channel.id}/{message.id}"
    for result in (
        await server.ada.slash(server.channel, "describe", message=link),
        await server.ada.slash(server.channel, "describe", message=str(message.id)),
    ):
        assert result.response is not None and result.response.ephemeral
        assert "What this image shows" in said(result.response)


async def test_a_shortened_prompt_is_edited_in_the_form(server: Server) -> None:
    text = "please paint a very red fox, masterpiece --count 1"
    result = await server.ada.slash(server.channel, "shorten", prompt=text)
    assert result.response is not None and result.response.ephemeral
    assert "Before: please paint" in said(result.response)
    assert labels(result.response) == ["Paint this", "Edit", "Undo"]

    form = await server.ada.click(result.response, label="Edit")
    await server.ada.submit_modal(form, {"prompt": "a red fox in snow", "flags": "--count 1"})

    assert (await server.ended()).prompt == "a red fox in snow"
