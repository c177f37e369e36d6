"""Which jobs were made from which: the family of one."""

from __future__ import annotations

from sqlalchemy import select as columns
from sqlmodel import Session, col, select

from bot.models import Job
from bot.store import rows
from bot.store.database import Database
from bot.store.tables import JobRow

_jobs = rows.table_of(JobRow)


class LineageStore(Database):
    """The part of the store that follows parents and children."""

    async def family(self, id: str, *, above: int, most: int) -> tuple[list[Job], bool]:
        """Return a job, its ancestors and all that was made of these; and whether there are more.

        At most `above` generations of ancestors are followed, and at most `most` jobs are returned, those of
        the elder generations first, but always the job's own line. Whatever was deleted is among them: who
        may see what is for the caller to say.
        """

        def work(session: Session) -> tuple[list[Job], bool]:
            line = _line(session, id, above)
            found, more = _descendants(session, line, most)
            query = select(JobRow).where(rows.one_of(col(JobRow.id), found))
            jobs = rows.with_pictures(session, session.exec(query).all())
            order = {each: number for number, each in enumerate(found)}
            return sorted(jobs, key=lambda job: order[job.id]), more or len(line) > above

        return await self._read(work)


def _line(session: Session, id: str, above: int) -> list[str]:
    """Return the ids of a job's line, the eldest first."""
    line: list[str] = []
    wanted: str | None = id
    while wanted and wanted not in line and len(line) <= above:
        row = session.connection().execute(columns(_jobs.c.parent).where(_jobs.c.id == wanted)).first()
        if row is None:
            break
        line.append(wanted)
        wanted = row.parent
    return line[::-1]


def _descendants(session: Session, line: list[str], most: int) -> tuple[list[str], bool]:
    """Return the ids of the line's jobs and of the eldest's descendants; and whether there are more."""
    found = dict.fromkeys(line)
    followed: set[str] = set()
    generation = line[:1]
    while generation:
        followed.update(generation)
        room = most - len(found)
        query = columns(_jobs.c.id).where(rows.one_of(_jobs.c.parent, generation))
        query = query.order_by(_jobs.c.created, _jobs.c.id).limit(room + len(line) + 1)
        children = list(session.connection().scalars(query))
        fresh = [each for each in children if each not in found]
        if len(fresh) > room:
            found |= dict.fromkeys(fresh[: max(0, room)])
            return list(found), True
        found |= dict.fromkeys(fresh)
        generation = [each for each in children if each not in followed]
    return list(found), False
