"""Keys of the API as administrators see them, and what the audit tells of their use."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from bot.accounts import audit
from bot.adapters.api.watching import Watchers
from bot.errors import Refusal
from bot.models import INSTANCE, Member, Origin
from tests.contract.api.house import ADA, BEN, ApiHouse, api_house


@pytest.fixture
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ApiHouse]:
    async with api_house(tmp_path_factory.mktemp("keys")) as found:
        yield found


def office() -> Origin:
    """An administrator who asks once more."""
    chief = replace(ADA, admin=True)
    return Origin(surface="web", member=chief, channel="studio", event=secrets.token_hex(4))


async def lines(house: ApiHouse, what: str) -> list[tuple[str, str, str]]:
    found = await house.web.store.audit(ADA.tenant)
    return [(each.by, each.target, each.after) for each in found if each.what == what]


async def test_administrators_list_the_keys_of_their_place_and_take_one_back(house: ApiHouse) -> None:
    ben = await house.program(BEN, name="blog")
    (key,) = await house.web.store.api_keys_of(BEN.id)
    card: Any = await house.web.easel.router.handle("admin person keys", {}, office())
    assert any("Ben" in line and key.id in line and "never used" in line for line in card.body)

    await ben.get("/v1/models")
    card = await house.web.easel.router.handle("admin person keys", {}, office())
    assert any(key.id in line and "last used" in line for line in card.body)
    await house.web.easel.router.handle("admin person keys", {"revoke": key.id}, office())
    assert (await ben.get("/v1/models")).status == 401
    with pytest.raises(Refusal, match="No key"):
        await house.web.easel.router.handle("admin person keys", {"revoke": key.id}, office())
    assert [target for _by, target, _after in await lines(house, "admin person keys")] == [f"key {key.id}"]


async def test_keys_of_another_place_are_not_an_administrator_s(house: ApiHouse) -> None:
    there = Member(tenant="discord:1", id="discord:7", name="Eve")
    origin = Origin(surface="discord", member=there, channel="c", event="e")
    await house.web.easel.router.handle("api create", {}, origin)
    (key,) = await house.web.store.api_keys_of(there.id)
    line = audit.line(office(), "x")
    assert await house.web.store.api_keys_in(ADA.tenant) == []
    assert await house.web.store.take_api_key(key.id, ADA.tenant, line) is None
    assert [each.id for each in await house.web.store.api_keys_in(INSTANCE)] == [key.id]


async def test_making_and_revoking_a_key_and_refused_use_are_in_the_audit(house: ApiHouse) -> None:
    program = await house.program(BEN, name="blog")
    (key,) = await house.web.store.api_keys_of(BEN.id)
    assert await lines(house, "api create") == [(BEN.id, key.id, "blog (images)")]
    said = [(await program.generate(prompt="a naked child")).status for _ in range(4)]
    assert said == [400, 403, 403, 403]
    told = sorted(await lines(house, "api refused"))
    assert told == [(BEN.id, key.id, "blocked"), (BEN.id, key.id, "moderation")]  # each once
    await house.web.easel.router.handle("api revoke", {"key": "blog"}, house.origin(BEN))
    assert [target for _by, target, _after in await lines(house, "api revoke")] == [key.id]

    assert (await program.get("/v1/models")).status == 401
    everywhere = await house.web.store.audit(INSTANCE)
    assert [each.after for each in everywhere if each.what == "api refused"] == ["unknown"]
    written = [str(each) for each in await house.web.store.audit(ADA.tenant)]
    assert not any(program.key in each for each in written)


async def test_a_key_has_the_roles_that_its_person_was_seen_with_last(house: ApiHouse) -> None:
    member = Member(tenant="discord:1", id="discord:7", name="Eve", roles=("team",), admin=True)

    async def does(what: str, as_is: Member) -> Any:
        origin = Origin(surface="discord", member=as_is, channel="c", event=secrets.token_hex(4))
        return await house.web.easel.router.handle(what, {}, origin)

    await does("api create", member)
    elsewhere = replace(member, tenant="discord:2", roles=("chief",))
    for seen, roles in ((elsewhere, ("team",)), (replace(member, roles=("guests",)), ("guests",))):
        await does("api list", seen)
        (key,) = await house.web.store.api_keys_of(member.id)
        assert (key.member.roles, key.member.admin, key.member.tenant) == (roles, False, "discord:1")


async def test_a_watch_that_begins_after_the_end_of_easel_ends_at_once() -> None:
    watchers = Watchers()
    watchers.close()
    with watchers.watch("job") as watch:
        assert watch.closed and await watch.news(0.0) is True
