"""Forms as Discord's modals."""

from __future__ import annotations

from typing import Any

import pytest

from bot.adapters.discord import forms
from bot.errors import Refusal
from bot.messages.types import Form

FORM = Form(
    command="imagine",
    title="Edit and generate again",
    values={"prompt": "a fox", "negative": "text", "style": "noir", "seed": "7", "aspect": "16:9"},
    parent="1a2b3c4d5e6f",
)


class Sent:
    """What an interaction carries, as far as a form is read."""

    def __init__(self, custom_id: str, **values: str | list[str]) -> None:
        fields = [
            {"custom_id": name, **({"values": value} if isinstance(value, list) else {"value": value})}
            for name, value in values.items()
        ]
        labels = [{"type": 18, "component": field} for field in fields]
        self.data = {"custom_id": custom_id, "components": labels}


def read(custom_id: str, **values: Any) -> forms.Answer:
    sent: Any = Sent(custom_id, **values)
    return forms.read(sent)


async def test_a_form_is_prefilled() -> None:
    data = forms.modal(FORM).to_dict()

    fields = {each["component"]["custom_id"]: each["component"] for each in data["components"]}
    assert data["custom_id"] == "v1:form:1a2b3c4d5e6f"
    assert fields["prompt"]["value"] == "a fox" and fields["negative"]["value"] == "text"
    assert [each["value"] for each in fields["style"]["options"] if each.get("default")] == ["noir"]
    assert fields["flags"]["value"] == "--aspect 16:9 --seed 7"


async def test_a_form_keeps_to_discord_s_limits() -> None:
    values = {"prompt": "x" * 5000, "style": ""}
    data = forms.modal(Form(command="imagine", title="t" * 99, values=values)).to_dict()

    fields = {each["component"]["custom_id"]: each["component"] for each in data["components"]}
    assert len(data["title"]) <= 45 and 1 <= len(data["components"]) <= 5
    assert len(fields["prompt"]["value"]) == 4000
    assert len(fields["style"]["options"]) <= 25


def test_what_is_sent_is_read() -> None:
    answer = read("v1:form:1a2b", prompt="a wolf", negative="", style=["clay"], flags="--seed 9 --count 2")

    assert answer.options == {
        "prompt": "a wolf",
        "negative": "",
        "style": "clay",
        "seed": "9",
        "count": "2",
    }
    assert (answer.parent, answer.picture, answer.upload) == ("1a2b", "", None)


def test_a_form_may_be_about_a_picture_that_was_chosen() -> None:
    assert read("v1:form::123", prompt="a wolf").picture == "123"


def test_words_among_the_other_options_are_refused() -> None:
    with pytest.raises(Refusal, match="“bright red” is not an option"):
        read("v1:form:", prompt="a wolf", flags="--seed 9 bright red")


@pytest.mark.parametrize("id", ["v1:form:", "v1:form:1a2b", "v1:form::5", "v1:form:1a2b:5"])
def test_our_ids_are_known(id: str) -> None:
    assert read(id, prompt="a wolf").options["prompt"] == "a wolf"


@pytest.mark.parametrize("id", ["v1:info:1a2b", "form", "v1:form:1a2b:x", "v1:form:a b", ""])
def test_other_ids_are_not_ours(id: str) -> None:
    with pytest.raises(Refusal, match="Easel does not know this"):
        read(id, prompt="a wolf")


PART = {"prompt": "", "region": "", "source": "1a2b:2", "style": "noir", "negative": "text"}


async def test_a_form_asks_for_a_part_of_a_picture() -> None:
    data = forms.modal(Form(command="imagine", title="Change a region", values=PART, parent="1a2b")).to_dict()

    fields = {each["component"]["custom_id"]: each["component"] for each in data["components"]}
    assert list(fields) == ["prompt", "region", "cells", "flags"]
    assert [each["value"] for each in fields["cells"]["options"]] == [str(n) for n in range(1, 26)]
    assert fields["cells"]["max_values"] == 25 and not fields["cells"]["required"]
    assert "--source 1a2b:2" in fields["flags"]["value"] and "--style noir" in fields["flags"]["value"]


@pytest.mark.parametrize(
    ("filled", "region"),
    [
        ({"region": "the cup", "cells": []}, "the cup"),
        ({"region": "", "cells": ["7", "12"]}, "cells 7 12"),
        ({"region": "top left", "cells": ["7"]}, "top left"),
    ],
)
def test_a_part_is_read_from_words_or_cells(filled: dict[str, Any], region: str) -> None:
    answer = read("v1:form:1a2b", prompt="a vase", flags="--source 1a2b:2", **filled)

    assert (answer.options["region"], answer.options["source"]) == (region, "1a2b:2")


def test_a_form_without_a_part_is_refused() -> None:
    with pytest.raises(Refusal):
        read("v1:form:1a2b", prompt="a vase", flags="--source 1a2b:2", region="", cells=[])
