"""Lines of the audit: who changed what, where."""

from __future__ import annotations

from datetime import UTC, datetime

from bot.models import AuditLine, Origin


def line(
    origin: Origin, what: str, target: str = "", before: str = "", after: str = "", *, tenant: str = ""
) -> AuditLine:
    """Return a line for what a person has done now, in their own tenant where none is named."""
    member = origin.member
    return AuditLine(
        at=datetime.now(UTC),
        by=member.id,
        name=member.name,
        surface=origin.surface,
        tenant=tenant or member.tenant,
        what=what,
        target=target,
        before=before,
        after=after,
    )
