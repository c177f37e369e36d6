"""A picture's family as the studio draws it: the tree, whom to walk to, and any two of it to compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bot import actions
from bot.adapters.web.views import picture_url
from bot.i18n import _
from bot.jobs.lineage import Node, Tree
from bot.models import Job, StoredPicture
from bot.options import clip

SMALL = 640  # pixels; the one size of thumbnails
MAX_WORDS = 60  # characters of a prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Relative:
    """One picture that can be walked to, or compared."""

    key: str  # "1a2b3c4d5e6f:2"
    job: str
    number: int
    words: str
    made: str  # how it was made, in a word
    blob: str
    width: int
    height: int
    current: bool = False

    @property
    def small(self) -> str:
        return picture_url(self.job, self.blob, SMALL)

    @property
    def large(self) -> str:
        return picture_url(self.job, self.blob)

    @property
    def page(self) -> str:
        return f"/jobs/{self.job}?picture={self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A job of the tree as it is drawn; without pictures, a gap."""

    pictures: tuple[Relative, ...]
    words: str = ""
    made: str = ""
    source: int | None = None  # the number of its parent's picture that it was made from
    current: bool = False
    children: tuple[Branch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyView:
    """What the page of a picture shows of its family."""

    root: Branch
    whole: bool
    parent: Relative | None
    before: Relative | None  # the sibling before it
    after: Relative | None
    child: Relative | None


def family(tree: Tree, job: Job, index: int) -> FamilyView | None:
    """Return the family of a job's picture; None where it has none but itself."""
    if not tree.root.children and tree.whole:
        return None
    parent, siblings, children = tree.around(job.id)
    row = [each for each in siblings if each.job]
    place = next(number for number, each in enumerate(row) if each.job and each.job.id == job.id)
    made_from = next((each.index for each in row if each.job and each.job.id == job.id), None)
    return FamilyView(
        root=_branch(tree.root, job, index),
        whole=tree.whole,
        parent=_first(parent.job, made_from or 0) if parent and parent.job else None,
        before=_of(row[place - 1]) if place else None,
        after=_of(row[place + 1]) if place + 1 < len(row) else None,
        child=next(filter(None, map(_of, children)), None),
    )


def pictures(tree: Tree) -> tuple[Relative, ...]:
    """Return all pictures of a tree, parents before their children."""
    return tuple(each for job in tree.jobs for each in _pictures(job))


def chosen(shown: Sequence[Relative], job: Job, query: Mapping[str, str]) -> tuple[Relative, Relative]:
    """Return the two pictures to compare: those that are named, else the job's and what it was made from."""
    known = {each.key: each for each in shown}
    mine = next((each for each in shown if each.job == job.id), shown[-1])
    second = known.get(query.get("second", ""), mine)
    parent = known.get(f"{job.parent}:{(job.parent_index or 0) + 1}")
    others = [each for each in shown if each.key != second.key]
    first = known.get(query.get("first", "")) or (parent if parent in others else others[0])
    return first, second


def _branch(node: Node, job: Job, index: int) -> Branch:
    children = tuple(_branch(each, job, index) for each in node.children)
    source = None if node.index is None else node.index + 1
    if node.job is None:
        return Branch(pictures=(), source=source, children=children)
    return Branch(
        pictures=tuple(_pictures(node.job, index if node.job.id == job.id else None)),
        words=clip(node.job.prompt, MAX_WORDS),
        made=_made(node.job),
        source=source,
        current=node.job.id == job.id,
        children=children,
    )


def _of(node: Node) -> Relative | None:
    return _first(node.job, 0) if node.job else None


def _first(job: Job, index: int) -> Relative | None:
    """Return picture `index` of a job, or its first one; None where it has none."""
    found = {each.number - 1: each for each in _pictures(job)}
    return found.get(index) or next(iter(found.values()), None)


def _pictures(job: Job, current: int | None = None) -> Iterator[Relative]:
    for each in job.singles:
        yield _shown(job, each, current=each.index == current)


def _shown(job: Job, picture: StoredPicture, *, current: bool) -> Relative:
    return Relative(
        key=f"{job.id}:{picture.index + 1}",
        job=job.id,
        number=picture.index + 1,
        words=clip(job.prompt, MAX_WORDS),
        made=_made(job),
        blob=picture.blob,
        width=picture.width,
        height=picture.height,
        current=current,
    )


def _made(job: Job) -> str:
    """Return in a word how a job was made of its parent."""
    if job.parent is None:
        return _("Generated")
    spec = actions.SPECS.get(job.action)
    return (spec and (spec.alone or spec.label)) or _("Changed")
