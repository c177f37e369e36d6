"""What a job was made from, and what was made of it, as a tree: as far as somebody may see it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from bot.jobs.visibility import Visibility
from bot.models import Job, Member
from bot.store import Store

GENERATIONS = 16  # of ancestors that are followed
MOST = 80  # jobs of a tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A job of the tree. Without one, it is a gap: it was deleted, or is not for this person."""

    job: Job | None
    index: int | None = None  # of its parent's picture that it was made from
    children: tuple[Node, ...] = ()

    def walk(self) -> Iterator[Node]:
        """Yield this node and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """The family of a job."""

    root: Node
    whole: bool  # else there are more than are shown

    @property
    def jobs(self) -> list[Job]:
        """Return the jobs that are shown, parents before their children."""
        return [node.job for node in self.root.walk() if node.job]

    def around(self, id: str) -> tuple[Node | None, tuple[Node, ...], tuple[Node, ...]]:
        """Return the parent, the siblings (itself among them) and the children of a job that is shown."""
        for node in self.root.walk():
            if any(child.job and child.job.id == id for child in node.children):
                (mine,) = (child for child in node.children if child.job and child.job.id == id)
                return node, node.children, mine.children
        return None, (self.root,), self.root.children


@dataclass(eq=False)
class LineageQueries:
    """Methods raise StoreError."""

    _store: Store
    _visibility: Visibility

    async def tree(self, job: Job, member: Member, here: Collection[str] = ()) -> Tree:
        """Return the tree of a job that the member may see."""
        found, more = await self._store.family(job.id, above=GENERATIONS, most=MOST)
        seen = {each.id: each for each in await self._visibility.those_seen(found, member, here)}
        seen[job.id] = job
        below: dict[str | None, list[Job]] = defaultdict(list)
        for each in sorted(found, key=lambda each: each.created):
            below[each.parent].append(each)
        root = _node(found[0] if found else job, below, seen)
        return Tree(root=root or Node(job=job), whole=not more)


def _node(job: Job, below: dict[str | None, list[Job]], seen: Mapping[str, Job]) -> Node | None:
    """Return a job's part of the tree, each job once; None where nothing of it may be seen."""
    children = tuple(node for each in below.pop(job.id, ()) if (node := _node(each, below, seen)))
    shown = seen.get(job.id)
    if shown is None and not children:
        return None
    return Node(job=shown, index=job.parent_index, children=children)
