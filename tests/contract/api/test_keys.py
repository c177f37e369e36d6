"""Keys of the API: whose they are, what they may do, and when they end."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from bot.accounts.api_keys import MOST, PREFIX
from bot.accounts.logins import TENANT, member_named, new_guest
from bot.accounts.privacy import token
from bot.accounts.tiers import load
from bot.errors import Refusal
from bot.models import Allowance, Member
from tests.contract.api.house import ADA, BEN, ApiHouse, Program, api_house
from tests.examples import unhurried
from tests.web import PATIENCE, SMALL

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ApiHouse]:
    async with api_house(tmp_path_factory.mktemp("api")) as opened:
        yield opened


async def ask(house: ApiHouse, command: str, member: Member = ADA, **options: Any) -> Any:
    return await house.web.easel.router.handle(command, options, house.origin(member))


async def refused(work: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await work
    return caught.value


async def test_a_key_is_shown_once_and_kept_as_a_digest(house: ApiHouse) -> None:
    who = member_named("Once", admin=False)
    card = await ask(house, "api create", who, name="blog")
    secret = card.body[0]

    assert card.private and secret.startswith(PREFIX) and len(secret) == len(PREFIX) + 64
    assert f"{house.web.url}/v1" in " ".join(card.body)
    listed = await ask(house, "api list", who)
    assert listed.private and "“blog” (images), never used" in listed.body[0] and secret not in str(listed)
    assert (await house.stranger(secret).generate()).status == 200
    assert "last used" in (await ask(house, "api list", who)).body[0]
    kept = [file.read_bytes() for file in house.folder.rglob("*") if file.is_file()]
    assert any(b"api_keys" in each for each in kept)
    assert not any(secret.encode() in each for each in kept)


async def until_two_wait(house: ApiHouse) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(house.web.adapter._api._watchers) < 2:  # type: ignore[union-attr]  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("key", ["", "nonsense", f"{PREFIX}{'0' * 64}", "Ünïcode"])
async def test_without_a_good_key_nothing_is_done(house: ApiHouse, key: str) -> None:
    for said in (await house.stranger(key).generate(), await house.stranger(key).get("/v1/models")):
        assert (said.status, said.error["type"]) == (401, "authentication_error")
        assert "/api create" in said.error["message"] and said.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("place", ["/v1/models?api_key={}", "/v1/models/{}", "/v1/models?x=1&y={}"])
async def test_a_key_in_an_address_is_refused(house: ApiHouse, place: str) -> None:
    program = await house.program()
    for asking in (program, house.stranger()):
        said = await asking.get(place.format(program.key))
        assert (said.status, said.error["code"]) == (401, "key_in_url")
        assert "revoke it" in said.error["message"] and program.key not in said.error["message"]


async def test_a_revoked_key_ends_within_a_second_also_what_waits(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with api_house(tmp_path_factory.mktemp("slow"), step_seconds=3.0) as slow:
        for name in ("first", "second"):
            program = await slow.program(name=name)
            waiting = [
                asyncio.create_task(program.generate(stream=stream, relax=True)) for stream in (True, False)
            ]
            await until_two_wait(slow)
            named = name if name == "first" else (await ask(slow, "api list")).body[0].split()[0]
            await ask(slow, "api revoke", key=named)
            assert (await program.get("/v1/models")).error["code"] == "invalid_api_key"
            async with asyncio.timeout(1.0):
                stream, whole = await asyncio.gather(*waiting)
            assert b'"code": "invalid_api_key"' in stream.raw and whole.error["code"] == "invalid_api_key"


async def test_nobody_revokes_or_sees_the_key_of_another(house: ApiHouse) -> None:
    program = await house.program(BEN, name="ben-only")

    assert (await refused(ask(house, "api revoke", key="ben-only"))).code == "unknown"
    assert "ben-only" not in str(await ask(house, "api list"))
    assert (await program.get("/v1/models")).status == 200


async def test_a_key_may_do_what_its_scope_says(house: ApiHouse) -> None:
    looks = await house.program(scope="models")
    assert (await looks.get("/v1/models")).status == 200
    assert ((await looks.generate()).status, (await looks.generate()).error["code"]) == (403, "scope")
    relaxed = await house.program(scope="relaxed")
    for body in ({}, {"relax": False}, {"priority": "fast"}):
        said = await relaxed.generate(**body)
        assert said.body["easel"]["relaxed"] and said.body["easel"]["gpu_seconds"] == 0.0
    assert (await relaxed.generate(prompt="a fox --relax no")).status == 400


async def test_one_person_has_only_so_many_keys_and_a_guest_none(house: ApiHouse) -> None:
    many = member_named("Many", admin=False)
    for _ in range(MOST):
        await ask(house, "api create", many)
    assert (await refused(ask(house, "api create", many))).code == "count"
    await ask(house, "api revoke", many, key="key")  # all of that name
    assert (await ask(house, "api list", many)).body == ("You have none. /api create makes one.",)
    assert (await refused(ask(house, "api create", new_guest()))).code == "forbidden"


async def test_a_blocked_person_s_keys_do_nothing(house: ApiHouse) -> None:
    person = member_named("Blocked", admin=False)
    program = await house.program(person)
    boss = Member(tenant=TENANT, id="web:@administrator", name="Boss", admin=True)
    await ask(house, "admin person block", boss, person=person.id, reason="spam")

    for said in (await program.generate(), await program.get("/v1/models")):
        assert (said.status, said.error["code"]) == (403, "blocked")
    await ask(house, "api revoke", person, key="key")  # which anybody may


async def test_what_is_not_painted_in_the_place_is_not_painted_here(house: ApiHouse) -> None:
    boss = Member(tenant="web:place", id="web:@administrator", name="Boss", admin=True)
    program = await house.program(replace(ADA, tenant="web:place"))
    assert (await program.generate()).status == 200
    await ask(house, "admin set channel", boss, channel="api", rule="refuse")
    assert ((await program.generate()).status, (await program.generate()).error["code"]) == (403, "channel")


async def test_the_quota_is_the_person_s(tmp_path_factory: pytest.TempPathFactory) -> None:
    tiers = replace(
        unhurried(),
        all=tuple(replace(each, allowances=(Allowance(seconds=0.5, per="day"),)) for each in unhurried().all),
    )
    async with api_house(tmp_path_factory.mktemp("quota"), tiers=tiers) as house:
        ada, other = await house.program(), await house.program()
        assert [(await each.generate()).status for each in (ada, other)] == [200, 200]  # 0.4 of 0.5
        said = await ada.generate()
        assert (said.status, said.error["type"], said.error["code"]) == (
            429,
            "insufficient_quota",
            "insufficient_quota",
        )
        assert "GPU second" in said.error["message"] and said.headers["X-Should-Retry"] == "false"
        assert (await (await house.program(BEN)).generate()).status == 200


async def test_too_many_requests_are_told_when_to_come_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with api_house(tmp_path_factory.mktemp("rate"), api_requests=3) as house:
        ada, other = await house.program(), await house.program()
        assert [(await ada.get("/v1/models")).status for _ in range(3)] == [200] * 3
        for said in (await ada.get("/v1/models"), await ada.generate()):
            assert (said.status, said.error["code"]) == (429, "rate_limit_exceeded")
            assert 1 <= int(said.headers["Retry-After"]) <= 61
        assert (await other.get("/v1/models")).status == 200


async def test_a_cooldown_is_told_with_retry_after(tmp_path_factory: pytest.TempPathFactory) -> None:
    everyone = tuple(replace(each, cooldown=60.0) for each in load().all)
    async with api_house(tmp_path_factory.mktemp("cooldown"), tiers=replace(load(), all=everyone)) as house:
        ada = await house.program()
        assert (await ada.generate()).status == 200
        said = await ada.generate()
        assert said.status == 429 and said.headers["Retry-After"] and "Ask again in" in said.error["message"]


async def test_the_api_can_be_switched_off(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with api_house(tmp_path_factory.mktemp("off"), api_requests=0) as house:
        assert (await refused(ask(house, "api create"))).code == "forbidden"
        assert (await house.stranger().get("/v1/models")).status == 404


async def test_keys_are_in_the_copy_of_somebody_s_data_and_go_with_them(house: ApiHouse) -> None:
    leaver = member_named("Leaver", admin=False)
    program = await house.program(leaver, name="leaving")
    assert (await program.generate()).status == 200
    copy = await ask(house, "privacy export", leaver)
    about = json.loads(zipfile.ZipFile(io.BytesIO(copy.files[0][1])).read("about.json"))
    [told] = about["keys"]
    assert (told["name"], told["scope"]) == ("leaving", "images") and told["last used"]
    assert program.key not in str(about)

    await house.web.easel.router.press(f"v1:forget:{token(house.origin(leaver))}", house.origin(leaver))

    assert (await program.get("/v1/models")).status == 401
    assert (await ask(house, "api list", leaver)).body == ("You have none. /api create makes one.",)


async def test_the_pages_of_the_studio_are_as_they_were(house: ApiHouse) -> None:
    """A key is no login, and a login is no key."""
    program: Program = await house.program()
    person = house.web.person("Ada")
    assert (await person.get("/")).status == 200
    assert (await person.get("/v1/models")).status == 401
    assert SMALL.name in (await program.get("/v1/models")).raw.decode()
