from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot import moderation
from bot.accounts import access_rules
from bot.accounts.access_rules import AccessRules, authorize, runs_easel
from bot.accounts.tiers import Tiers
from bot.commands import COMMANDS
from bot.errors import Refusal
from bot.messages import marks
from bot.models import (
    INSTANCE,
    Allowance,
    Filter,
    Member,
    Origin,
    Person,
    Policy,
    Preferences,
    Standing,
    Tier,
)
from bot.prompts import Draft
from engine.types import GenerationRequest, Upscale
from tests.examples import TINY

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TIERS = Tiers(
    (
        Tier(name="staff", title="Staff"),
        Tier(name="team", title="Team"),
        Tier(name="everyone", title="Everyone", max_pixels=512 * 512, max_steps=20, max_count=4),
    )
)
ADA = Member(tenant="discord:1", id="discord:ada", name="Ada", roles=("r1", "r2"))
BIG = replace(TINY, name="big", multiple=64, max_side=2048)


def rules(
    member: Member = ADA, *, house: Policy | None = None, persons: Any = (), **place: Any
) -> AccessRules:
    standing = Standing(
        at=NOW, account=member.id, everywhere=house or Policy(), place=Policy(**place), persons=tuple(persons)
    )
    return AccessRules(standing, TIERS, member)


def person(tier: str = "", tenant: str = "discord:1", member: str = ADA.id, **more: Any) -> Person:
    return Person(tenant=tenant, member=member, tier=tier, **more)


# ---- which tier


@pytest.mark.parametrize(
    ("found", "tier"),
    [
        (rules(), "everyone"),
        (rules(tier="team"), "team"),
        (rules(house=Policy(tier="team")), "team"),
        (rules(tier="everyone", house=Policy(tier="team")), "everyone"),
        (rules(roles={"r2": "team"}), "team"),
        (rules(roles={"r1": "team", "r2": "staff"}), "staff"),  # the first in the file
        (rules(roles={"other": "staff"}, tier="team"), "team"),
        (rules(roles={"r1": "gone"}), "everyone"),  # a tier that the file has no more
        (rules(tier="gone", house=Policy(tier="gone")), "everyone"),
        (rules(roles={"r1": "everyone"}, tier="team"), "everyone"),
        (rules(roles={"r1": "staff"}, persons=[person("team")]), "team"),
        (rules(persons=[person("gone")], tier="team"), "team"),
        (rules(persons=[person("team"), person("staff", INSTANCE)]), "staff"),  # the operator's word first
        (rules(persons=[person("staff", member="slack:a"), person("team")]), "team"),  # their own name first
        (rules(persons=[person("staff", member="slack:a")]), "staff"),
        (rules(persons=[person("team"), person("staff", INSTANCE, member="slack:a")]), "staff"),
    ],
)
def test_the_tier(found: AccessRules, tier: str) -> None:
    assert found.tier.name == tier


DAY, HOUR, WEEK = (Allowance(seconds=600, per=per) for per in ("day", "hour", "week"))


@pytest.mark.parametrize(
    ("found", "allowances"),
    [
        (rules(quotas={"everyone": DAY}), (DAY,)),
        (rules(quotas={"other": DAY}), ()),
        (rules(quotas={"r1": DAY, "r2": HOUR, "everyone": WEEK}), (HOUR,)),  # the largest of their roles
        (rules(quotas={"everyone": DAY}, roles={"r1": "team"}), ()),  # a role's tier is more than everyone's
        (rules(quotas={"everyone": DAY}, roles={"r1": "gone"}), (DAY,)),
        (rules(quotas={"r1": DAY}, roles={"r1": "team"}), (DAY,)),
        (rules(quotas={"r1": DAY}, persons=[person("team")]), ()),  # their own tier is theirs as it is
        (rules(quotas={"r1": DAY}, persons=[person(allowance=WEEK)]), (WEEK,)),
        (rules(quotas={"everyone": DAY}, house=Policy(quotas={"everyone": HOUR})), (DAY,)),
        (rules(house=Policy(quotas={"everyone": HOUR})), (HOUR,)),
    ],
)
def test_a_quota_that_was_set_for_a_role_stands_in_for_its_tier_s(
    found: AccessRules, allowances: tuple[Allowance, ...]
) -> None:
    assert found.tier.allowances == allowances
    assert set(allowances) <= set(found.periods)


def test_an_allowance_of_one_s_own_stands_in_for_the_tier_s_and_is_counted_everywhere() -> None:
    week, month = (Allowance(seconds=9, per=per) for per in ("week", "month"))
    others = person(tenant=INSTANCE, member="slack:a", allowance=month)
    found = rules(persons=[others, person("team", INSTANCE, allowance=week)])
    assert (found.tier.name, found.tier.allowances) == ("team", (week,))
    assert set(found.periods) == {week, month}
    assert rules(persons=[others]).tier.allowances == (month,)


# ---- who may ask


def test_a_block_holds_until_it_ends_for_all_names_of_a_person() -> None:
    for each in (
        person(blocked=True),
        person(blocked=True, until=NOW + timedelta(minutes=1)),
        person(blocked=True, tenant=INSTANCE),
        person(blocked=True, member="slack:a"),
    ):
        with pytest.raises(Refusal) as caught:
            rules(persons=[each]).check_person()
        assert caught.value.code == "blocked"
    rules(persons=[person(blocked=True, until=NOW), person(blocked=False, reason="x")]).check_person()


@pytest.mark.parametrize("at", range(4))
def test_a_block_is_found_in_whichever_row_of_a_person_it_stands(at: int) -> None:
    rows = [
        person("team"),
        person(member="slack:a", reason="Was warned."),
        person(tenant=INSTANCE, member="slack:a", blocked=True, until=NOW - timedelta(days=1)),
    ]
    rules(persons=rows).check_person()
    rows.insert(at, person(member="slack:b", blocked=True, reason="Spam."))
    with pytest.raises(Refusal, match=r"here\. Spam\. An administrator"):
        rules(persons=rows).check_person()


def test_where_something_is_taken() -> None:
    free = rules(channels=Filter(refused=("d",)), house=Policy(channels=Filter(allowed=("c", "d"))))
    free.check_place("c")
    assert free.takes_channel("c") and not free.takes_channel("d") and not free.takes_channel("e")


# ---- what words and pictures may hold


@pytest.mark.parametrize(
    ("house", "place", "found"),
    [
        ("standard", "standard", "standard"),
        ("standard", "relaxed", "relaxed"),
        ("standard", "strict", "strict"),
        ("relaxed", "standard", "standard"),
        ("relaxed", "relaxed", "relaxed"),
        ("relaxed", "strict", "strict"),
        ("strict", "standard", "strict"),
        ("strict", "relaxed", "strict"),
        ("strict", "strict", "strict"),
    ],
)
def test_a_place_may_be_looser_or_stricter_but_not_than_a_strict_house(
    house: Any, place: Any, found: str
) -> None:
    here = rules(house=Policy(strictness=house), strictness=place)
    assert here.moderation(adult=False).strictness == found
    assert not here.moderation(adult=False).adult and here.moderation(adult=True).adult


def test_terms_of_the_house_hold_beside_the_place_s_own() -> None:
    house = Policy(refused_terms=("broccoli",), allowed_terms=("nude beach",))
    found = rules(house=house, refused_terms=("kale",), allowed_terms=("topless",)).moderation(adult=False)
    assert set(found.blocked) == {"broccoli", "kale"}
    assert set(found.allowed) == {"nude beach", "topless"}
    for words, category in (("broccoli", "own"), ("kale", "own"), ("a nude beach, topless", "")):
        assert moderation.judge([words], rules=found).category == category


def test_a_block_says_until_when_and_why() -> None:
    until = NOW + timedelta(hours=2)
    with pytest.raises(Refusal) as caught:
        rules(persons=[person(blocked=True, until=until, reason="Spam.")]).check_person()
    assert marks.plain(caught.value.notice) == (
        "You cannot use Easel here until 14:00 UTC. Spam. An administrator can lift this."
    )


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (rules(paused=True), "paused"),
        (rules(house=Policy(paused=True)), "paused"),
        (rules(drained=True), "drained"),
        (rules(channels=Filter(refused=("c",))), "channel"),
        (rules(channels=Filter(allowed=("d",))), "channel"),
        (rules(channels=Filter(allowed=("c",)), house=Policy(channels=Filter(refused=("c",)))), "channel"),
    ],
)
def test_where_nothing_is_taken(found: AccessRules, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        found.check_place("c")
    assert caught.value.code == code


def test_a_filter_takes_the_allowed_or_else_all_but_the_refused() -> None:
    empty = Filter()
    assert empty.takes("a")
    allowed = empty.ruled("a", "allow")
    assert (allowed.takes("a"), allowed.takes("b")) == (True, False)
    assert allowed.ruled("a", "allow") == allowed
    refused = allowed.ruled("a", "refuse")
    assert refused == Filter(refused=("a",)) and not refused.takes("a") and refused.takes("b")
    assert refused.ruled("a", "clear") == empty


# ---- what may be asked for


def test_models_are_those_of_house_place_and_tier() -> None:
    offered = (TINY, BIG)
    assert rules().models(offered) == [TINY, BIG]
    assert rules(models=Filter(allowed=("big",))).models(offered) == [BIG]
    only_big = rules(models=Filter(refused=("easel-tiny",)))
    with pytest.raises(Refusal) as caught:
        only_big.check_model("Easel-Tiny", offered, Draft(prompt="a fox", model="easel-tiny"))
    assert caught.value.notice == "easel-tiny is not for your tier, Everyone, here. You can use big."
    assert caught.value.offers[0].text == "a fox --model big"
    only_big.check_model("big", offered)
    only_big.check_model("unheard of", offered)  # whether there is such a model is asked elsewhere
    with pytest.raises(Refusal, match="No model may be used here"):
        rules(models=Filter(refused=("big",)), house=Policy(models=Filter(allowed=("big",)))).models(offered)


def request(**changes: Any) -> GenerationRequest:
    return replace(GenerationRequest(prompt="a fox", seed=7), **changes)


@pytest.mark.parametrize(
    ("asked", "style", "notice", "offer"),
    [
        (
            request(width=1024, height=512),
            "",
            "1024 × 512 is 100% more than your tier, Everyone, allows for one image. Try --size 720x360.",
            "a fox --size 720x360",
        ),
        (
            request(steps=25),
            "",
            "That is 25 steps, 5 more than your tier, Everyone, allows. Try --steps 20.",
            "a fox --steps 20",
        ),
        (
            request(),
            "pixel-art",
            "The style Pixel art is not used here. /styles shows those that are.",
            "a fox --style none",
        ),
    ],
)
def test_what_is_too_much_says_by_how_much_and_offers_what_fits(
    asked: GenerationRequest, style: str, notice: str, offer: str
) -> None:
    found = rules(styles=Filter(refused=("pixel-art",)))
    with pytest.raises(Refusal) as caught:
        found.check(asked, style, TINY, Draft(prompt="a fox"))
    assert caught.value.notice == notice
    assert [each.text for each in caught.value.offers] == [offer]
    with pytest.raises(Refusal) as caught:
        found.check(asked, style, TINY, None)
    assert caught.value.offers == ()


def test_what_is_within_bounds_passes_and_enlarging_is_not_limited() -> None:
    rules().check(request(steps=20, width=512, height=512), "3d", TINY, None)
    rules().check(request(width=2048, height=2048, task=Upscale(source="x"), steps=99), "", TINY, None)


def test_a_model_with_no_size_small_enough_is_not_offered_one() -> None:
    with pytest.raises(Refusal) as caught:
        rules().check(request(width=2048, height=2048), "", replace(BIG, min_side=1024), Draft(prompt="x"))
    assert caught.value.notice.endswith("Choose another model.") and caught.value.offers == ()


def test_priorities() -> None:
    assert not rules().relaxed(None) and rules().relaxed(True)
    fast = Tiers((Tier(name="everyone", title="Everyone", priorities=("fast",)),))
    slow = Tiers((Tier(name="everyone", title="Everyone", priorities=("relax",)),))
    standing = Standing(at=NOW, account="a")
    with pytest.raises(Refusal, match="has no relaxed jobs"):
        AccessRules(standing, fast, ADA).relaxed(True)
    assert AccessRules(standing, slow, ADA).relaxed(None)


def test_defaults_are_the_person_s_then_the_place_s_then_the_house_s() -> None:
    standing = Standing(
        at=NOW,
        account="a",
        preferences=Preferences(count=2, size="512x768"),
        place=Policy(defaults=Preferences(count=1, aspect="16:9", style="3d")),
        everywhere=Policy(defaults=Preferences(style="oil-painting", private=True)),
    )
    found = AccessRules(standing, TIERS, ADA).preferences()
    assert found == Preferences(count=2, size="512x768", style="3d", private=True)


def test_budgets_are_those_of_house_place_and_channel() -> None:
    day = Allowance(seconds=10, per="day")
    found = rules(budget=day, channel_budgets={"c": day}, house=Policy(budget=day))
    assert [each.account for each in found.budgets("discord:1", "c")] == [
        "budget:*",
        "budget:discord:1",
        "budget:discord:1/c",
    ]
    assert len(found.budgets("discord:1", "d")) == 2


def test_each_budget_is_the_one_that_was_set_for_it() -> None:
    house, place, channel = (Allowance(seconds=seconds, per="day") for seconds in (1000, 100, 10))
    found = rules(budget=place, channel_budgets={"c": channel, "d": house}, house=Policy(budget=house))
    assert [(each.account, each.name, each.allowance) for each in found.budgets("discord:1", "c")] == [
        ("budget:*", "all of Easel", house),
        ("budget:discord:1", "this place", place),
        ("budget:discord:1/c", "this channel", channel),
    ]
    assert rules(budget=place).budgets("discord:1", "c")[0].allowance is place
    assert rules(house=Policy(budget=house)).budgets("discord:1", "c")[0].account == "budget:*"
    assert rules().budgets("discord:1", "c") == ()


def test_what_an_account_is_and_where_its_lane_stands() -> None:
    assert rules().home == ADA.tenant
    standing = Standing(at=NOW, account="slack:a", home="slack:1")
    assert AccessRules(standing, TIERS, ADA).home == "slack:1"
    assert AccessRules(standing, TIERS, ADA).account == "slack:a"


def test_models_of_the_tier_are_a_limit_of_their_own() -> None:
    only = Tiers((Tier(name="everyone", title="Everyone", models=("big",)),))
    found = AccessRules(Standing(at=NOW, account="a"), only, ADA)
    assert found.models((TINY, BIG)) == [BIG]
    with pytest.raises(Refusal, match="You can use big"):
        found.check_model("easel-tiny", (TINY, BIG))


def test_a_model_whose_smallest_picture_is_more_than_the_tier_allows_is_not_offered() -> None:
    few = Tiers((Tier(name="everyone", title="Everyone", max_pixels=512 * 512),))
    found = AccessRules(Standing(at=NOW, account="a"), few, ADA)
    fits, large = replace(BIG, name="fits", min_side=512), replace(BIG, name="large", min_side=576)
    assert found.models((TINY, fits, large)) == [TINY, fits]
    with pytest.raises(Refusal, match="large is not for your tier"):
        found.check_model("large", (TINY, large))


def test_an_aspect_of_one_s_own_keeps_out_another_s_size_and_the_reverse() -> None:
    def found(own: Preferences) -> Preferences:
        place = Policy(defaults=Preferences(aspect="16:9"))
        house = Policy(defaults=Preferences(size="512x768"))
        return AccessRules(
            Standing(at=NOW, account="a", preferences=own, place=place, everywhere=house), TIERS, ADA
        ).preferences()

    assert (found(Preferences(aspect="1:1")).aspect, found(Preferences(aspect="1:1")).size) == ("1:1", "")
    assert (found(Preferences(size="64x64")).aspect, found(Preferences(size="64x64")).size) == ("", "64x64")
    assert (found(Preferences()).aspect, found(Preferences()).size) == ("16:9", "")


def test_a_picture_as_large_as_the_tier_allows_passes_and_one_row_more_does_not() -> None:
    rules().check(request(width=512, height=512), "", TINY, None)
    with pytest.raises(Refusal, match="1% more than your tier"):
        rules().check(request(width=512, height=513), "", TINY, None)
    with pytest.raises(Refusal, match="1 more than your tier"):
        rules().check(request(steps=21), "", TINY, None)


def test_no_style_is_no_style_that_could_be_refused() -> None:
    found = rules(styles=Filter(allowed=("3d",)))
    for style in ("", "none", "3d"):
        found.check(request(), style, TINY, None)
    with pytest.raises(Refusal, match="not used here"):
        found.check(request(), "oil-painting", TINY, None)


def test_an_offer_is_a_text_so_a_file_that_came_along_has_none() -> None:
    with pytest.raises(Refusal) as caught:
        rules().check(request(steps=25), "", TINY, Draft(prompt="a fox", source=b"png"))
    assert caught.value.offers == ()


# ---- who may administrate


def origin(surface: str, *, admin: bool, id: str = "discord:5") -> Origin:
    member = Member(tenant=f"{surface}:1", id=id, name="X", admin=admin)
    return Origin(surface=surface, member=member, channel="c", event="e")


OPERATOR = ("discord:operator",)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
@pytest.mark.parametrize("surface", ["discord", "slack", "web", "cli"])
@pytest.mark.parametrize("role", ["member", "administrator", "operator"])
def test_who_may_use_which_command_where(command: Any, surface: str, role: str) -> None:
    """Members none of the group, administrators of a chat all but what counts everywhere, operators all."""
    id = OPERATOR[0] if role == "operator" else f"{surface}:5"
    asked = origin(surface, admin=role == "administrator", id=id)
    operator = role == "operator" or (role == "administrator" and surface in ("web", "cli"))
    allowed = not command.admin or operator or (role == "administrator" and not command.operator)
    assert runs_easel(asked, OPERATOR) == operator
    if allowed:
        authorize(command, asked, OPERATOR)
    else:
        with pytest.raises(Refusal) as caught:
            authorize(command, asked, OPERATOR)
        assert caught.value.code == "forbidden"


def test_a_change_is_told_by_what_differs() -> None:
    before = Policy(roles={"r1": "team"}, paused=False)
    after = replace(before, roles={}, paused=True, budget=Allowance(seconds=7200, per="week"))
    assert access_rules.difference(before, after) == (
        "roles: r1 → team; budget: none; paused: no",
        "roles: none; budget: 7,200 GPU seconds a week; paused: yes",
    )
    assert access_rules.difference(before, before) == ("", "")
    defaults = replace(before, defaults=Preferences(style="3d"), channels=Filter(refused=("c",)))
    assert access_rules.difference(before, defaults)[1] == "channels: refused: c; defaults: style: 3d"


@pytest.mark.parametrize("where", ["place", "house"])
def test_a_commercial_place_cannot_use_a_model_whose_licence_forbids_it(where: str) -> None:
    free, research = replace(TINY, name="free", terms="open"), replace(BIG, terms="non-commercial")
    offered = [research, free, replace(TINY, name="unsaid")]
    found = rules(house=Policy(commercial=True)) if where == "house" else rules(commercial=True)

    assert [each.name for each in found.models(offered)] == ["free", "unsaid"]
    with pytest.raises(Refusal) as caught:
        found.check_model("big", offered, Draft(prompt="a fox", model="big"))
    assert caught.value.notice == (
        "The licence of big forbids commercial use, and this place is marked commercial. "
        "You can use free, unsaid."
    )
    assert [each.label for each in caught.value.offers] == ["Use free"]
    assert len(rules().models(offered)) == 3
