"""What can be typed: the commands that members and administrators have."""

from bot.commands.spec import (
    ALSO,
    COMMANDS,
    FOR_ALL,
    NAMES,
    beginning,
    check,
    command,
    find,
    group,
    vocabulary,
)

__all__ = [
    "ALSO",
    "COMMANDS",
    "FOR_ALL",
    "NAMES",
    "beginning",
    "check",
    "command",
    "find",
    "group",
    "vocabulary",
]
