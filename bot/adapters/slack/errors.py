"""What Slack answers when it refuses, and what that means for a message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.errors import MessageGone, TryLater, Unreachable
from bot.i18n import _

# https://docs.slack.dev/reference/methods/chat.postMessage#errors and …/chat.update#errors
_NO_PERMISSION = _("Easel may not post there.")
_CLOSED = {
    "channel_not_found": _("the channel is gone, or Easel is not in it."),
    "not_in_channel": _("Easel is not in that channel."),
    "is_archived": _("the channel is archived."),
    "is_inactive": _("the channel is archived."),
    "user_not_in_channel": _("the person is not in that channel."),
    "cannot_reply_to_message": _("the message it answers is gone."),
    "thread_not_found": _("the thread is gone."),
    "channel_is_limited_access": _NO_PERMISSION,
    "posting_to_channel_denied": _NO_PERMISSION,
    "method_not_supported_for_channel_type": _NO_PERMISSION,
    "ekm_access_denied": _NO_PERMISSION,
    "cant_update_message": _NO_PERMISSION,
    "edit_window_closed": _NO_PERMISSION,
    "team_not_found": _("the channel is gone, or Easel is not in it."),
}
_GONE = {
    "message_not_found": _("its message was deleted."),
    "user_disabled": _("the person's account is closed."),
    "user_not_found": _("the person's account is closed."),
    "user_not_visible": _("the person cannot be reached."),
    "cannot_dm_bot": _("the person cannot be reached."),
    "messages_tab_disabled": _("direct messages to Easel are switched off in Slack."),
}
_TOKEN = {
    "token_revoked": _("Slack's token was revoked: Easel was removed from the workspace."),
    "account_inactive": _("Slack's token was revoked: Easel was removed from the workspace."),
    "invalid_auth": _("Slack does not accept the token any more."),
    "not_authed": _("Slack does not accept the token any more."),
    "token_expired": _("Slack does not accept the token any more."),
    "not_allowed_token_type": _("Slack does not accept the token any more."),
    "team_access_not_granted": _("the organisation does not let Easel into the workspace."),
    "missing_scope": _("the Slack app lacks a permission: install it again from the manifest."),
}
TOKEN_REASONS = frozenset(_TOKEN.values())
_LATER = {
    "ratelimited",
    "rate_limited",
    "message_limit_exceeded",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "update_failed",
    "team_added_to_org",
    "streaming_state_conflict",
    "external_channel_migrating",
}
_NO_FILES = {
    "access_denied",
    "alt_txt_too_large",
    "file_type_not_allowed",
    "file_upload_size_restricted",
    "file_uploads_disabled",
    "file_uploads_except_images_disabled",
    "storage_limit_reached",
}
"""The workspace takes no such files."""
UNSETTLED = ("file_not_found", "file_update_failed", "status 200")
"""What may be said of an upload at once, and not the next time."""
_LIMITS = ("ratelimited", "rate_limited", "message_limit_exceeded")
BAD_BLOCKS = ("invalid_blocks", "invalid_blocks_format", "file_not_found", "file_deleted", "file_is_deleted")


FAILURES = (SlackClientError, aiohttp.ClientError, OSError)
"""What may come of a call: a refusal (SlackApiError), or no answer."""


def code_of(error: Exception) -> str:
    """Return Slack's code of an error ("not_in_channel"), else its HTTP status or its type's name.

    Never its text, which may hold what was sent.
    """
    if not isinstance(error, SlackApiError):
        return type(error).__name__
    try:
        if error.response["error"]:
            return str(error.response["error"])
        return f"status {_status(error)}"
    except (AttributeError, KeyError, TypeError, ValueError):  # a page in place of JSON
        return f"status {_status(error)}"


def is_closed(error: SlackApiError) -> bool:
    """Tell whether another place may be open where this one is not."""
    code = code_of(error)
    return code in _CLOSED or code.startswith("restricted_action")


def is_token(error: Exception) -> bool:
    """Tell whether Slack does not accept the token itself."""
    return code_of(error) in _TOKEN


def why(error: SlackApiError) -> str:
    """Return the reason of an error in one clause, for the job's record."""
    code = code_of(error)
    if code.startswith("restricted_action"):
        return _("the channel's rules do not let Easel post there.")
    known = _CLOSED | _GONE | _TOKEN
    return known.get(code, _("Slack does not take it ({code}).", code=code))


def is_passing(error: SlackApiError) -> bool:
    code, status = code_of(error), _status(error)
    return code in _LATER or status == 429 or status >= 500


def is_unknown(error: SlackApiError) -> bool:
    """Tell whether the error's meaning is unknown: a new code, or a page in place of JSON."""
    code = code_of(error)
    known = code in (_CLOSED | _GONE | _TOKEN) or code in _NO_FILES or code.startswith("restricted_action")
    return not known and not is_passing(error)


class UnknownAnswer(TryLater):
    """Slack answered what nobody knows: it is tried again, but not for ever."""


def _status(error: SlackApiError) -> int:
    return int(getattr(error.response, "status_code", 200))


def is_doubtful(error: SlackApiError) -> bool:
    """Tell whether Slack may have done what was asked in spite of this error."""
    page = code_of(error).startswith("status")
    return (page or is_passing(error)) and not is_limited(error)


def is_limited(error: SlackApiError) -> bool:
    """Tell whether Slack was asked more often than it allows."""
    return code_of(error) in _LIMITS or _status(error) == 429


def retry_after(error: SlackApiError) -> float:
    """Return the seconds to wait, at least 1, that a refusal for its rate names."""
    headers = getattr(error.response, "headers", None) or {}
    try:
        return max(1.0, float(headers.get("Retry-After", 1.0)))
    except (TypeError, ValueError):
        return 1.0


@contextmanager
def translated() -> Iterator[None]:
    """Turn slack_sdk's errors into Easel's."""
    try:
        yield
    except SlackApiError as error:
        if is_passing(error):
            raise TryLater(f"Slack answered {code_of(error)}", after=retry_after(error)) from error
        if is_unknown(error):
            raise UnknownAnswer(f"Slack answered {code_of(error)}") from error
        gone = code_of(error) == "message_not_found"
        raise (MessageGone if gone else Unreachable)(why(error)) from error
    except FAILURES as error:
        raise TryLater(f"Slack cannot be reached ({code_of(error)})") from error
