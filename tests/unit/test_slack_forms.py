"""Modals, and what comes back from them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.models.views import View

from bot.adapters.slack import forms
from bot.adapters.slack.forms import About, FormAnswer, mistakes, modal, read, unpack
from bot.messages.types import Form

CHOICES = {
    "style": [("noir", "Film noir"), ("watercolour", "Watercolour")],
    "aspect": [("1:1", "Square 1:1"), ("16:9", "Wide 16:9")],
    "model": [("memory", "Memory")],
    "count": [(str(n), str(n)) for n in range(1, 5)],
}
HERE = About(channel="C1", thread="1.0")


def fields(view: dict[str, Any]) -> dict[str, Any]:
    return {block["block_id"]: block["element"] for block in view["blocks"] if block["type"] == "input"}


def sent(view: dict[str, Any], **states: Any) -> dict[str, Any]:
    values = {name: {name: state} for name, state in states.items()}
    return {"private_metadata": view["private_metadata"], "state": {"values": values}}


def test_the_form_has_every_option_of_the_vocabulary() -> None:
    from bot import commands

    view = modal(Form(command="imagine", title="Generate an image", values={}), HERE, CHOICES)

    assert list(fields(view)) == [option.name for option in commands.command("imagine").options]
    assert fields(view)["source"]["type"] == "file_input"
    assert [option["value"] for option in fields(view)["count"]["options"]] == ["1", "2", "3", "4"]
    View(**view).validate_json()


def test_a_form_speaks_the_person_s_language() -> None:
    form = Form(command="imagine", title="Malen", values={"prompt": "Close"}, language="de")

    view = modal(form, HERE, CHOICES, ask_where=True)

    assert (view["submit"]["text"], view["close"]["text"]) == ("Erzeugen", "Abbrechen")
    blocks = {block["block_id"]: block for block in view["blocks"]}
    assert blocks["where"]["label"]["text"] == "Wo"
    assert blocks["source"]["label"]["text"] == "Bildvorlage"
    assert blocks["count"]["hint"]["text"].startswith("Wie viele")
    assert fields(view)["prompt"]["initial_value"] == "Close", "what somebody typed stays"
    assert forms.share("a1", "C1", "de")["submit"]["text"] == "Teilen"
    View(**view).validate_json()


def test_where_nothing_may_be_chosen_it_can_be_typed() -> None:
    view = modal(Form(command="imagine", title="Paint", values={}), HERE, {**CHOICES, "style": []})

    assert fields(view)["style"]["type"] == "plain_text_input"
    View(**view).validate_json()


def test_what_was_said_is_filled_in() -> None:
    values = {
        "prompt": "a fox",
        "style": "noir",
        "aspect": "3:2",
        "count": "2",
        "seed": "7",
        "private": "yes",
        "guidance": "4.5",
    }
    made = fields(modal(Form(command="imagine", title="Edit", values=values, parent="1a2b"), HERE, CHOICES))

    assert made["prompt"]["initial_value"] == "a fox" and made["seed"]["initial_value"] == "7"
    assert made["guidance"]["initial_value"] == "4.5" and made["guidance"]["is_decimal_allowed"]
    assert made["style"]["initial_option"]["value"] == "noir"
    assert made["aspect"]["initial_option"]["value"] == "3:2"
    assert made["aspect"]["initial_option"] in made["aspect"]["options"]
    assert made["private"]["initial_options"][0]["value"] == "yes"


def test_a_form_comes_back_as_options() -> None:
    values = {"source": "1a2b3c4d5e6f:1"}
    view = modal(Form(command="imagine", title="Edit", values=values, parent="1a2b"), HERE, CHOICES)
    style = {"type": "static_select", "selected_option": {"value": "noir"}}
    answer = read(
        sent(
            view,
            prompt={"type": "plain_text_input", "value": "a wolf"},
            negative={"type": "plain_text_input", "value": None},
            style=style,
            model={"type": "static_select", "selected_option": None},
            private={"type": "checkboxes", "selected_options": []},
            source={"type": "file_input", "files": []},
        )
    )

    assert answer.options == {"prompt": "a wolf", "style": "noir", "source": "1a2b3c4d5e6f:1"}
    assert (answer.about.parent, answer.about.channel, answer.about.thread) == ("1a2b", "C1", "1.0")
    assert answer.upload is None


def test_an_uploaded_picture_replaces_the_chosen_one() -> None:
    view = modal(Form(command="imagine", title="Edit", values={"source": "1a2b:1"}), HERE, CHOICES)

    answer = read(sent(view, source={"type": "file_input", "files": [{"id": "F1"}]}))

    assert answer.upload == {"id": "F1"} and "source" not in answer.options


def test_a_chosen_channel_is_where_it_is_painted_for_all() -> None:
    about = About(hidden=True)
    view = modal(Form(command="imagine", title="Paint", values={}), about, CHOICES, ask_where=True)

    assert read(sent(view)).about == About(hidden=True)
    chosen = {"type": "conversations_select", "selected_conversation": "C9"}
    assert read(sent(view, where=chosen)).about == About(channel="C9")


def test_the_settings_form_replaces_all_of_them() -> None:
    view = modal(Form(command="settings", title="Your settings", values={}), HERE, CHOICES)

    assert "reset" not in fields(view)
    assert read(sent(view)).options == {"notify": "no", "reset": "yes"}


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"prompt": "a fox"}, None),
        ({"prompt": "a fox", "count": "2", "guidance": "4,5", "style": "noir"}, None),
        ({"prompt": "a fox", "size": "very large"}, "size"),
        ({"prompt": "a fox", "guidance": "nan"}, "guidance"),
        ({"prompt": "a fox", "seed": "-1"}, "seed"),
        ({"prompt": "a fox", "strength": "7"}, "strength"),
        ({"prompt": "a fox --colour red"}, "prompt"),
        ({"prompt": "a fox --count 2", "count": "3"}, "prompt"),
        ({"prompt": "\u200b \u2060"}, "prompt"),
        ({}, "prompt"),
    ],
)
def test_a_mistake_is_told_at_its_field(options: dict[str, object], wrong: str | None) -> None:
    found = mistakes(FormAnswer(options, None, About()))

    assert list(found) == ([wrong] if wrong else [])
    assert all(notice.endswith((".", "?")) for notice in found.values())


def test_mistakes_in_settings_are_told_too() -> None:
    about = About(command="settings")

    assert list(mistakes(FormAnswer({"count": "99", "reset": "yes"}, None, about))) == ["count"]
    assert mistakes(FormAnswer({"style": "noir", "reset": "yes"}, None, about)) == {}


@given(st.text(max_size=200))
def test_any_metadata_is_understood_as_far_as_it_goes(metadata: str) -> None:
    assert isinstance(unpack(metadata), About)


@pytest.mark.parametrize("metadata", ["", "[]", "7", "null", '{"channel": "C1", "new": 1}', "{"])
def test_metadata_of_other_versions_is_no_failure(metadata: str) -> None:
    assert unpack(metadata).channel == ("C1" if "C1" in metadata else "")


def test_metadata_fits() -> None:
    about = About(
        channel="C" * 20, thread="1" * 20, parent="p" * 12, source="s" * 20, file="F" * 20, hidden=True
    )

    assert len(about.pack()) < forms.MAX_METADATA and unpack(about.pack()) == about


@given(st.text(max_size=4500))
def test_any_prompt_can_be_edited(words: str) -> None:
    view = modal(
        Form(command="imagine", title="Edit and generate again", values={"prompt": words}), HERE, CHOICES
    )

    View(**view).validate_json()
    assert len(fields(view)["prompt"].get("initial_value", "")) <= 3000


def _of_part(cells: list[str], region: str | None = None) -> dict[str, Any]:
    values = {"prompt": "", "region": "", "source": "1a2b:2"}
    view = forms.modal(Form(command="imagine", title="Change a region", values=values), forms.About(), {})
    chosen = [{"value": each} for each in cells]
    state = {
        "prompt": {"prompt": {"type": "plain_text_input", "value": "a vase"}},
        "region": {"region": {"type": "plain_text_input", "value": region}},
        "cells": {"cells": {"type": "multi_static_select", "selected_options": chosen}},
    }
    return {**view, "state": {"values": state}}


def test_a_form_asks_for_a_part_of_a_picture_first() -> None:
    names = [each["block_id"] for each in _of_part([])["blocks"]]

    assert names[:3] == ["prompt", "region", "cells"]


def test_a_part_is_read_from_words_or_cells() -> None:
    cells, words = forms.read(_of_part(["7", "12"])), forms.read(_of_part(["7"], "the cup"))

    assert cells.options["region"] == "cells 7 12" and words.options["region"] == "the cup"
    assert cells.options["source"] == "1a2b:2"
    assert forms.mistakes(cells) == forms.mistakes(words) == {}


def test_a_part_that_is_not_named_is_a_mistake() -> None:
    assert forms.mistakes(forms.read(_of_part([]))).keys() == {"region"}


def test_a_mask_comes_with_a_form() -> None:
    view = _of_part([])
    view["state"]["values"]["mask"] = {"mask": {"type": "file_input", "files": [{"id": "F1"}]}}

    answer = forms.read(view)

    assert answer.mask == {"id": "F1"} and forms.mistakes(answer) == {}
