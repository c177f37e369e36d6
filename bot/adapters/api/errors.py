"""What goes wrong, in the form that OpenAI's clients read, with Easel's sentence in it."""

from __future__ import annotations

from typing import Any

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from bot.adapters.web.parsing import language
from bot.errors import EaselError, Refusal
from bot.i18n import Text, _
from bot.i18n.speech import say
from bot.messages import marks

log = structlog.stdlib.get_logger(__name__)

API = "/v1/"
"""Begins the path of everything of the API."""
AGAIN = 10  # seconds after which to ask again where nothing more exact is known

_STATUS = {
    "quota": 429,
    "waiting": 429,
    "cooldown": 429,
    "strike": 403,
    "blocked": 403,
    "forbidden": 403,
    "channel": 403,
    "direct": 403,
    "relax": 403,
    "unknown_model": 404,
    "unknown": 404,
    "deleted": 410,
    "busy": 503,
    "store": 503,
    "engine": 503,
    "paused": 503,
    "drained": 503,
}
"""HTTP's status for a refusal's code; 400 for all others."""
_CODES = {
    "quota": "insufficient_quota",
    "waiting": "rate_limit_exceeded",
    "cooldown": "rate_limit_exceeded",
    "unknown_model": "model_not_found",
    "moderation": "moderation_blocked",
}
"""OpenAI's code for a refusal's, where there is one."""


class ApiError(Exception):
    """A request that cannot be served. The message is safe to show."""

    def __init__(
        self, status: int, message: str, *, code: str = "invalid_request", param: str = "", retry: int = 0
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.retry = retry  # seconds after which to ask again; 0: that would not help

    def told(self, language: str) -> dict[str, Any]:
        """Return it in OpenAI's form."""
        error = {
            "message": marks.plain(say(self.message, language)),
            "type": _type(self.status, self.code),
            "param": self.param or None,
            "code": self.code,
        }
        return {"error": error}


def as_told(error: EaselError) -> ApiError:
    """Return the error that tells of one of Easel's own."""
    if isinstance(error, Refusal):
        return _refused(error)
    log.warning("a request of the API could not be served", cause=str(error))
    busy = _("The studio cannot do that just now. Try again in a minute.")
    return ApiError(503, busy, code="busy", retry=AGAIN)


def _refused(refusal: Refusal) -> ApiError:
    status = _STATUS.get(refusal.code, 400)
    again = AGAIN if status == 503 or refusal.code in ("waiting", "cooldown") else 0
    return ApiError(status, refusal.notice, code=_CODES.get(refusal.code, refusal.code), retry=again)


def _type(status: int, code: str) -> str:
    if status >= 500:
        return "server_error"
    if code == "insufficient_quota":
        return code
    kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    return kinds.get(status, "invalid_request_error")


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what a handler of the API raises."""
    if not request.path.startswith(API):
        return await handler(request)
    try:
        return await handler(request)
    except ApiError as error:
        return _answer(request, error)
    except ConnectionError as error:
        log.info("a request broke off", cause=type(error).__name__)
        return _answer(request, ApiError(400, _("That did not arrive whole. Try again.")))
    except web.HTTPException as error:
        return _answer(request, _of_http(error))
    except EaselError as error:
        return _answer(request, as_told(error))
    except Exception:
        log.exception("a request of the API failed", route=_route(request))
        text = _("The studio could not do that. Its log names the cause.")
        return _answer(request, ApiError(500, text, code="server_error"))


def _of_http(error: web.HTTPException) -> ApiError:
    known = {
        404: _("There is no such address in this API. /v1/docs shows what there is."),
        405: _("This cannot be done here."),
        413: _("That is too much to send."),
    }
    retry = error.headers.get("Retry-After", "")
    message = known.get(error.status, Text(error.text or error.reason))
    return ApiError(error.status, message, retry=int(retry) if retry.isdecimal() else 0)


def _route(request: web.Request) -> str:
    """Return the route as it may be logged: without what somebody wrote into the address."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else ""


def _answer(request: web.Request, error: ApiError) -> web.Response:
    answer = web.json_response(error.told(language(request) or "en"), status=error.status)
    answer.headers["Cache-Control"] = "no-store"
    if not error.retry:
        answer.headers["X-Should-Retry"] = "false"  # to OpenAI's clients
    else:
        answer.headers["Retry-After"] = str(error.retry)
    if error.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer
