"""In which language Discord's people are answered, and what Discord itself shows of the commands."""

from __future__ import annotations

import pytest

from tests.contract.discord.line import Connects, Line, requests
from tests.contract.discord.wire import ADA, DM, Message, member

GERMAN = {"locale": "de"}
MANAGER = {"member": member(permissions=1 << 5)}


def of(line: Line, text: str) -> Message | None:
    return next((m for m in line.wire.messages.values() if text in m.text), None)


async def test_answers_are_in_the_person_s_language(line: Line) -> None:
    token = await line.wire.command("queue", GERMAN)

    assert "Die Warteschlange ist leer." in (await line.wire.answered(token, "Warteschlange")).text


async def test_a_job_s_message_is_in_the_language_of_whoever_asked(line: Line) -> None:
    token = await line.wire.command("imagine", GERMAN, prompt="Cancel", count=1)

    done = await line.wire.answered(token, "Seed")
    assert "**Cancel**" in done.text
    assert {"Noch einmal", "Bearbeiten"} <= done.buttons.keys()
    more = await line.wire.answered(await line.wire.press(done, "⋯", **GERMAN), "Cancel")
    assert {"Löschen", "Melden"} <= more.buttons.keys()


async def test_refusals_are_in_the_person_s_language(line: Line) -> None:
    token = await line.wire.command("imagine", GERMAN, prompt="a fox --count 99")
    await line.wire.until(lambda: of(line, "Das sind 99 Bilder"))
    assert "at once" not in (line.wire.aside(token) or Message(0, 0)).text


async def test_what_discord_s_side_says_itself_is_translated_too(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.adapters.discord.handlers.EYES_PATIENCE", 0.0)
    await line.wire.command("imagine", GERMAN, prompt="a fox")

    await line.wire.until(lambda: of(line, "Easel hat gerade zu viel zu tun."))


async def test_a_form_is_asked_in_the_person_s_language(line: Line) -> None:
    done = await line.painted(count=1)
    token = await line.wire.press(done, "Edit", **GERMAN)

    modal = await line.wire.until(lambda: line.wire.modals.get(token))
    assert modal["title"] == "Ändern und neu erzeugen"
    assert [each["label"] for each in modal["components"]] == [
        "Prompt",
        "Negativer Prompt",
        "Stil",
        "Andere Optionen",
        "Bildvorlage",
    ]


async def test_a_server_s_language_comes_before_each_person_s(line: Line) -> None:
    token = await line.wire.command("admin set language", MANAGER, language="de")
    await line.wire.answered(token, "Easel antwortet hier in dieser Sprache: Deutsch.")

    token = await line.wire.slash("queue")
    await line.wire.answered(token, "Die Warteschlange ist leer.")


async def test_a_mention_is_answered_in_the_server_s_language(line: Line) -> None:
    line.wire.locale = "de"
    await line.wire.say("<@1002> a fox --count 99")

    answer = await line.wire.until(lambda: of(line, "Das sind 99 Bilder"))
    assert answer.channel == DM


async def test_the_way_to_a_result_is_said_in_the_person_s_language(
    connected: Connects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.adapters.discord.context.TOKEN_SECONDS", 100.0)
    async with connected(step_seconds=0.5) as line:
        alone = {"authorizing_integration_owners": {"1": str(ADA)}}  # only Ada has installed Easel
        token = await line.wire.command("imagine", GERMAN | alone, prompt="a fox", count=1)

        waiting = await line.wire.answered(token, "a fox")
        assert "Ergebnis holen" in waiting.buttons


async def test_discord_is_told_the_german_of_every_description(line: Line) -> None:
    (put,) = await line.wire.until(lambda: requests(line, "PUT", "/commands"))
    for each in (each for each in put.json if each["type"] == 1):
        assert each["description_localizations"]["de"] != each["description"]
        assert not each["name_localizations"], "what is typed is the same everywhere"

    menu = {each["name"]: each["name_localizations"] for each in put.json if each["type"] == 3}
    assert menu["Use as reference"] == {"de": "Als Vorlage nehmen", "fr": "Utiliser comme référence"}


async def test_what_commands_do_is_completed_in_the_person_s_language(line: Line) -> None:
    typed = {"name": "command", "type": 3, "value": "que", "focused": True}
    data = {"id": "9", "name": "help", "type": 1, "options": [typed]}
    await line.wire.interact(4, data, **GERMAN)

    (sent,) = await line.wire.until(lambda: requests(line, "POST", "/callback"))
    found = {each["value"]: each["name"] for each in sent.json["data"]["choices"]}
    assert found == {
        "queue": "Die Warteschlange: wer gerade erzeugt, wer wartet und wer als Nächstes dran ist."
    }
