"""Faults of what brings messages to people: message sync, Discord's and Slack's delivery, Slack's door."""

from __future__ import annotations

_SYNC = "bot/jobs/message_sync.py"
_DISCORD = "bot/adapters/discord/delivery.py"
_SLACK = "bot/adapters/slack/delivery.py"
_DOOR = "bot/adapters/slack/http_server.py"
_OF_SYNC = "tests/unit/test_message_sync_time.py tests/unit/test_message_sync.py"
_OF_TELLING = "tests/unit/test_message_sync_telling.py"
_OF_DISCORD = "tests/unit/test_discord_delivery.py"
_OF_SLACK = "tests/unit/test_slack_delivery.py"
_OF_DOOR = "tests/unit/test_slack_http_server.py"

MUTATIONS: list[tuple[str, str, str, str]] = [
    # what the surface asks for
    (_SYNC, "least=error.after)", "least=0.0)", _OF_SYNC),
    (_SYNC, "parcel.silence = delay if job.state.ended else least", "parcel.silence = 0.0", _OF_SYNC),
    (_SYNC, "parcel.silence = delay if job.state.ended else least", "parcel.silence = delay", _OF_SYNC),
    (_SYNC, "parcel.silence = delay if job.state.ended else least", "parcel.silence = least", _OF_SYNC),
    (_SYNC, "min(longest, 0.25 * 2.0", "min(LONGEST_DELAY, 0.25 * 2.0", _OF_SYNC),
    (_SYNC, "0.25 * 2.0 **", "0.25 * 1.0 **", _OF_SYNC),
    (
        _SYNC,
        "parcel.attempts, parcel.silence = 0, 0.0",
        "parcel.silence = 0.0",
        _OF_SYNC,
    ),
    (_SYNC, "return adapter.edit_interval", "return 0.0", _OF_SYNC),
    (_SYNC, "await parcel.ended.wait()", "await asyncio.Event().wait()", _OF_SYNC),
    # ends before progress
    (_SYNC, "            _hasten(parcel)\n\n    async def close", "\n    async def close", _OF_SYNC),
    (_SYNC, "LONGEST_EDIT if parcel.ref else None", "None", _OF_SYNC),
    (_SYNC, "LONGEST_EDIT if parcel.ref else None", "LONGEST_EDIT", _OF_SYNC),
    (_SYNC, "(GRACE if parcel.ref else POST_GRACE)", "0.0", _OF_SYNC),
    (_SYNC, "(GRACE if parcel.ref else POST_GRACE)", "GRACE", _OF_SYNC),
    (_SYNC, "self._once_more(parcel) if parcel.overtaken else None", "None", _OF_SYNC),
    (
        _SYNC,
        "parcel.overtaken, parcel.shown, parcel.silence = False, None, LATE",
        "parcel.shown, parcel.silence = None, LATE",
        _OF_SYNC,
    ),
    (
        _SYNC,
        "parcel.overtaken, parcel.shown, parcel.silence = False, None, LATE",
        "parcel.overtaken, parcel.silence = False, LATE",
        _OF_SYNC,
    ),
    # shown once, and written down
    (_SYNC, "adapter.edit(job, ref, card) if ref else adapter.post", "adapter.post", _OF_SYNC),
    (_SYNC, "if parcel.ref is None or card != parcel.shown:", "if True:", _OF_SYNC),
    (_SYNC, "if card.asker and isinstance(adapter, Tells):", "if isinstance(adapter, Tells):", _OF_TELLING),
    (_SYNC, "await adapter.clear(job, parcel.ref, card)", "pass", _OF_TELLING),
    (
        _SYNC,
        "        if parcel.ref != parcel.saved:\n",
        "        await adapter.clear(job, parcel.ref, card)\n        if parcel.ref != parcel.saved:\n",
        _OF_TELLING,
    ),
    (_SYNC, "parcel.shown = None if anew else parcel.shown", "pass", _OF_SYNC),
    (_SYNC, "if pause is None and not parcel.news.is_set():", "if pause is None:", _OF_SYNC),
    (_SYNC, "            parcel.saved = parcel.ref\n", "            pass\n", _OF_SYNC),
    (
        _SYNC,
        "        if job.state.ended:\n            if isinstance(adapter, Tells)",
        "        if False:\n            if isinstance(adapter, Tells)",
        _OF_SYNC,
    ),
    (_SYNC, "if card.adult and not await adapter.adult(job):", "if False:", _OF_SYNC),
    # what can never be shown
    (_SYNC, "            parcel.lost = error\n", "            pass\n", _OF_SYNC),
    (_SYNC, "if isinstance(error, MessageGone):", "if False:", _OF_SYNC),
    (_SYNC, "kept = job.state is State.CANCELLED and job.reason", "kept = False", _OF_SYNC),
    (_SYNC, "await asyncio.wait(owed, timeout=patience)", "await asyncio.wait(owed)", _OF_SYNC),
    (_SYNC, "if parcel.ended.is_set()]", "]", _OF_SYNC),
    # Discord
    (_DISCORD, "after=retry_after(error)", "after=1.0", _OF_DISCORD),
    (_DISCORD, "after=error.retry_after", "after=1.0", _OF_DISCORD),
    (_DISCORD, "if error.status >= 500 or error.status == 401:", "if error.status >= 500:", _OF_DISCORD),
    (_DISCORD, "if error.status >= 500 or error.status == 401:", "if error.status == 401:", _OF_DISCORD),
    (_DISCORD, "if now < self._paced.get((channel, old), 0.0):", "if False:", _OF_DISCORD),
    (_DISCORD, "(OLD_PAUSE if old else PROGRESS_PAUSE)", "PROGRESS_PAUSE", _OF_DISCORD),
    (_DISCORD, "if not job.state.ended and not self._may_progress", "if not self._may_progress", _OF_DISCORD),
    (_DISCORD, "= time.monotonic() + CLOSED_PAUSE", "= 0.0", _OF_DISCORD),
    (
        _DISCORD,
        "if error.code == UNKNOWN_MESSAGE:\n        return False",
        "if False:\n        return False",
        _OF_DISCORD,
    ),
    (_DISCORD, "gone = error.code == UNKNOWN_MESSAGE", "gone = False", _OF_DISCORD),
    (_DISCORD, "planned.cancel()  #", "pass  #", _OF_DISCORD),
    (_DISCORD, 'reply["expires"] - MARGIN', 'reply["expires"]', _OF_DISCORD),
    (_DISCORD, "if job.state.ended and job.state is not State.DELETED:", "if job.state.ended:", _OF_DISCORD),
    (_DISCORD, "if job.state.ended and job.state is not State.DELETED:", "if True:", _OF_DISCORD),
    (
        _DISCORD,
        "and not job.origin.private):\n            routes.append",
        "):\n            routes.append",
        _OF_DISCORD,
    ),
    (
        _DISCORD,
        "[self._whisper] if job.origin.private else [self._say, self._whisper]",
        "[self._say, self._whisper]",
        _OF_DISCORD,
    ),
    # Slack
    (_SLACK, "if not job.state.ended and not self._pace", "if not self._pace", _OF_SLACK),
    (_SLACK, "if not job.state.ended and not self._pace(workspace.team).may():", "if False:", _OF_SLACK),
    (_SLACK, "if job.state is State.DELETED:", "if False:", _OF_SLACK),
    (_SLACK, "if job.origin.private or not job.origin.channel:", "if not job.origin.channel:", _OF_SLACK),
    (
        _SLACK,
        "if found := await self._lost.find(client, channel, thread, job, part):",
        'if found := "":',
        _OF_SLACK,
    ),
    (_SLACK, "if wanted and self._refused.get(job.id, 0) >= PATIENCE:", "if False:", _OF_SLACK),
    (_SLACK, "if job.state is State.DELETED or job.origin.private:", "if False:", _OF_SLACK),
    (_SLACK, "self._left = min(self._most, self._left + (now - self._at) * self._rate)", "pass", _OF_SLACK),
    # Slack's door
    (_DOOR, "if abs(now - int(timestamp)) > WINDOW:", "if now - int(timestamp) > WINDOW:", _OF_DOOR),
    (_DOOR, "if abs(now - int(timestamp)) > WINDOW:", "if abs(now - int(timestamp)) >= WINDOW:", _OF_DOOR),
    (_DOOR, 'if not hmac.compare_digest(f"v0={signed}", signature):', "if False:", _OF_DOOR),
    (
        _DOOR,
        "if len(values) != 1 or not form.fullmatch(values[0]):",
        "if not form.fullmatch(values[0]):",
        _OF_DOOR,
    ),
    (_DOOR, 'f"v0:{timestamp}:".encode() + body', 'f"v0:{timestamp}:".encode()', _OF_DOOR),
]
