"""What was made from what: the tree as the rows tell it, as far as somebody may see it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.adapters.web import lineage_view
from bot.jobs import lineage
from bot.jobs.lineage import LineageQueries, Node, Tree
from bot.jobs.visibility import Visibility
from bot.models import Job, State, StoredPicture
from bot.store import Store
from tests.examples import a_job, a_member, a_tier

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
SECONDS = itertools.count()
ADA, BEN = a_member("ada"), a_member("ben")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite:///{tmp_path / 'easel.db'}")
    yield store
    await store.close()


@pytest.fixture
def queries(store: Store) -> LineageQueries:
    nobody: Any = None
    return LineageQueries(store, Visibility(store, nobody, nobody, {}))


async def made(
    store: Store, id: str, parent: str | None = None, index: int | None = None, **more: Any
) -> Job:
    created = SINCE + timedelta(seconds=next(SECONDS))
    job = a_job(id=id, parent=parent, parent_index=index, created=created, **more)
    await store.admit(job, tier=a_tier(10**9))
    await store.started(id)
    pictures = [StoredPicture(index=at, blob=f"{id}-{at}.png", seed=1, width=64, height=64) for at in (0, 1)]
    for picture in pictures:
        await store.add_picture(id, picture)
    return (await store.end(id, State.RENDERED))[0]


def drawn(node: Node) -> Any:
    """A tree as nested names; gaps are dots."""
    name = node.job.id if node.job else "."
    return (name, *map(drawn, node.children)) if node.children else name


async def test_ancestors_siblings_and_descendants_are_one_tree(store: Store, queries: LineageQueries) -> None:
    await made(store, "root")
    await made(store, "left", "root", 0)
    right = await made(store, "right", "root", 1)
    await made(store, "below", "right", 0)
    await made(store, "other")

    tree = await queries.tree(right, ADA)

    assert drawn(tree.root) == ("root", "left", ("right", "below")) and tree.whole
    parent, siblings, children = tree.around("right")
    assert parent and parent.job and parent.job.id == "root"
    assert [each.job and each.job.id for each in siblings] == ["left", "right"]
    assert [each.job and each.job.id for each in children] == ["below"]
    assert [each.id for each in tree.jobs] == ["root", "left", "right", "below"]


async def test_a_picture_alone_has_no_family(store: Store, queries: LineageQueries) -> None:
    alone = await made(store, "alone")
    tree = await queries.tree(alone, ADA)
    assert drawn(tree.root) == "alone"
    assert lineage_view.family(tree, alone, 0) is None


async def test_what_was_deleted_is_a_gap_between_the_others(store: Store, queries: LineageQueries) -> None:
    await made(store, "root")
    await made(store, "gone", "root", 0)
    await made(store, "leaf", "root", 1)
    child = await made(store, "child", "gone", 0)
    await store.delete("gone")
    await store.delete("leaf")

    tree = await queries.tree(child, ADA)

    assert drawn(tree.root) == ("root", (".", "child"))
    family = lineage_view.family(tree, child, 0)
    assert family and family.parent is None and family.root.children[0].pictures == ()


async def test_others_see_no_private_jobs_and_nothing_of_them(store: Store, queries: LineageQueries) -> None:
    await made(store, "root")
    await made(store, "mine", "root", 0, private=True)
    theirs = await made(store, "theirs", "mine", 0, user="ben")
    await made(store, "hers", "root", 1, private=True)
    root = await store.job("root")
    assert root

    seen_by_ben = await queries.tree(theirs, BEN)
    assert drawn(seen_by_ben.root) == ("root", (".", "theirs"))
    page = repr(lineage_view.family(seen_by_ben, theirs, 0))
    assert "mine" not in page and "hers" not in page
    assert drawn((await queries.tree(root, ADA)).root) == ("root", ("mine", "theirs"), "hers")


async def test_of_another_tenant_nothing_is_seen(store: Store, queries: LineageQueries) -> None:
    await made(store, "root", tenant="discord:1")
    child = await made(store, "child", "root", 0)
    assert drawn((await queries.tree(child, ADA)).root) == (".", "child")


async def test_a_large_tree_is_bounded_and_keeps_the_own_line(
    store: Store, queries: LineageQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineage, "MOST", 12)
    await made(store, "root")
    for number in range(20):
        await made(store, f"child{number}", "root", 0)
    last = await made(store, "last", "child19", 0)

    tree = await queries.tree(last, ADA)

    assert not tree.whole and len(tree.jobs) == 12
    assert {"root", "child19", "last"} <= {each.id for each in tree.jobs}


async def test_of_a_long_line_the_nearest_generations_are_shown(
    store: Store, queries: LineageQueries
) -> None:
    await made(store, "job0")
    for number in range(1, 30):
        job = await made(store, f"job{number}", f"job{number - 1}", 0)

    tree = await queries.tree(job, ADA)

    assert not tree.whole
    assert [each.id for each in tree.jobs] == [f"job{n}" for n in range(29 - lineage.GENERATIONS, 30)]


async def test_rows_that_name_each_other_end(store: Store, queries: LineageQueries) -> None:
    await made(store, "one", "two", 0)
    two = await made(store, "two", "one", 0)
    assert {each.id for each in (await queries.tree(two, ADA)).jobs} == {"one", "two"}


async def test_a_parent_that_is_no_row_is_the_end_of_the_line(store: Store, queries: LineageQueries) -> None:
    child = await made(store, "child", "nowhere", 0)
    assert drawn((await queries.tree(child, ADA)).root) == "child"


# ---- as the studio draws it


def a_tree() -> tuple[Tree, list[Job]]:
    pictures = tuple(
        StoredPicture(index=at, blob=f"{at}.png", seed=1, width=64, height=64) for at in (-1, 0, 1)
    )
    jobs = [
        a_job(
            id=id, parent=parent, parent_index=index, state=State.RENDERED, pictures=pictures, action=action
        )
        for id, parent, index, action in (
            ("root", None, None, "imagine"),
            ("left", "root", 0, "vary_subtle"),
            ("right", "root", 1, "edit"),
            ("below", "right", 1, "upscale"),
        )
    ]
    root, left, right, below = jobs
    inner = Node(job=right, index=1, children=(Node(job=below, index=1),))
    return Tree(root=Node(job=root, children=(Node(job=left, index=0), inner)), whole=True), jobs


def test_one_walks_to_parent_siblings_and_children() -> None:
    tree, (_root, _left, right, _below) = a_tree()
    family = lineage_view.family(tree, right, 0)
    assert family and family.parent and family.before and family.child and family.after is None
    assert (family.parent.key, family.before.key, family.child.key) == ("root:2", "left:1", "below:1")
    current = [each.key for branch in family.root.children for each in branch.pictures if each.current]
    assert current == ["right:1"]


def test_any_two_are_compared_and_at_first_one_with_what_it_was_made_from() -> None:
    tree, (root, _left, right, _below) = a_tree()
    shown = lineage_view.pictures(tree)
    assert [each.key for each in shown] == [
        f"{id}:{number}" for id in ("root", "left", "right", "below") for number in (1, 2)
    ]
    first, second = lineage_view.chosen(shown, right, {})
    assert (first.key, second.key) == ("root:2", "right:1")
    first, second = lineage_view.chosen(shown, right, {"first": "below:1", "second": "left:2"})
    assert (first.key, second.key) == ("below:1", "left:2")
    first, second = lineage_view.chosen(shown, root, {"first": "x", "second": "unknown:9"})
    assert first.key != second.key and second.job == "root"


def test_a_prompt_in_the_tree_is_clipped() -> None:
    tree, (root, *_) = a_tree()
    long = replace(root, prompt="a fox " * 100)
    family = lineage_view.family(replace(tree, root=replace(tree.root, job=long)), long, 0)
    assert family and len(family.root.words) <= lineage_view.MAX_WORDS + 1
