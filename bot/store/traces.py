"""What the rows tell of a picture that somebody asks about: nothing of the prompt, nothing of the person."""

from __future__ import annotations

from sqlalchemy import select
from sqlmodel import Session

from bot.models import Original
from bot.provenance.verify import nearest
from bot.store import aside
from bot.store.rows import table_of
from bot.store.tables import JobRow, PictureRow

_jobs, _pictures = table_of(JobRow), table_of(PictureRow)


def original(session: Session, job: str, look: str) -> Original | None:
    """Return the job of that id; without one, that of the picture whose fingerprint is near `look`."""
    if not job and look:
        kept = select(_pictures.c.job, _pictures.c.index, _pictures.c.fingerprint)
        rows = session.connection().execute(kept.where(_pictures.c.fingerprint != ""))
        known = {f"{row.job}:{row.index}": row.fingerprint for row in rows}
        job = (nearest(look, known) or "").partition(":")[0]
    query = select(_jobs.c.id, _jobs.c.request, _jobs.c.created).where(_jobs.c.id == job)
    row = session.connection().execute(query).first()
    if row is None:
        return None
    return Original(job=row.id, model=str(aside.mapping(row.request).get("model", "")), made=row.created)
