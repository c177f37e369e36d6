"""Where a surface's app is installed. What is kept is sealed by the adapter; the store sees no token."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlmodel import Session

from bot.store.database import Database
from bot.store.rows import insert_once, table_of
from bot.store.tables import InstallationRow

_installations = table_of(InstallationRow)


class Installations(Database):
    """The part of the store that remembers installations."""

    async def installation(self, place: str) -> str | None:
        """Return what was saved, sealed, for a place ("slack:T1"), or None."""
        query = select(_installations.c.sealed).where(_installations.c.place == place)
        return await self._read(lambda session: session.connection().scalar(query))

    async def installations(self, surface: str) -> dict[str, str]:
        """Return what was saved, sealed, for each place of a surface."""
        query = select(_installations).where(
            _installations.c.place.startswith(f"{surface}:", autoescape=True)
        )
        return await self._read(
            lambda session: {row.place: row.sealed for row in session.connection().execute(query)}
        )

    async def save_installation(self, place: str, sealed: str) -> None:
        """Save what is to be known of a place; what was saved before is replaced."""
        now = self._clock()

        def work(session: Session) -> None:
            values = {"place": place, "sealed": sealed, "at": now}
            if not insert_once(session, InstallationRow, values, ("place",)):
                change = _installations.update().where(_installations.c.place == place)
                session.connection().execute(change.values(sealed=sealed, at=now))

        await self._write(work)

    async def remove_installation(self, place: str, sealed: str) -> None:
        """Forget a place where this was saved; nothing where something else was saved meanwhile."""
        statement = delete(_installations).where(
            _installations.c.place == place, _installations.c.sealed == sealed
        )
        await self._write(lambda session: session.connection().execute(statement) and None)
