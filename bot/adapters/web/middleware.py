"""What happens around every request: headers, foreign sites, logins, and errors as sentences."""

from __future__ import annotations

import hmac
from dataclasses import asdict

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bot.accounts.logins import LINK
from bot.adapters.api.errors import API
from bot.adapters.web.context import WebContext, wants_part
from bot.errors import EaselError, Refusal
from bot.i18n import Text, _
from bot.i18n.speech import say

log = structlog.stdlib.get_logger(__name__)

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
OPEN = ("/static/", "/login", "/livez", "/readyz", "/healthz", "/admin/login", "/verify")
"""What can be had without a password."""


def middlewares(site: WebContext) -> list[Middleware]:
    """Return the middlewares, the outermost first. The API has its own errors, and keys for logins."""
    return [_of_pages(each) for each in (_errors(site), _origins(site), _logins(site))]


def _of_pages(inner: Middleware) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await (handler(request) if request.path.startswith(API) else inner(request, handler))

    return middleware


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _origins(site: WebContext) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not site.access.knows_host(request):
            raise web.HTTPMisdirectedRequest(
                text=_("This studio answers to this machine only: open it at 127.0.0.1 or localhost.")
            )
        if site.access.is_forwarded(request):
            raise web.HTTPMisdirectedRequest(
                text=_("This studio answers to this machine only. To have it behind a proxy, set WEB_URL.")
            )
        guarded = request.method not in ("GET", "HEAD") or request.path.startswith("/api/")
        if guarded and site.access.is_foreign(request):
            raise web.HTTPForbidden(text=_("This came from another site, so it was not done."))
        return await handler(request)

    return middleware


def _logins(site: WebContext) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        path, office = request.path, _is_office(request)
        if not path.startswith("/static/"):
            await site.access.look_up(request)
        inside = site.access.is_admin(request) if office else site.access.is_member(request)
        if inside or path.startswith(OPEN) or (path == "/metrics" and _has_token(request, site)):
            return await handler(request)
        piece = wants_part(request) or path.startswith(("/api/", "/pictures/", "/admin/pictures/"))
        if request.method == "GET" and not piece:
            raise web.HTTPSeeOther("/admin/login" if office else "/login")
        raise web.HTTPUnauthorized(text=_("You are logged out. Open the page again to log in."))

    return middleware


def _has_token(request: web.Request, site: WebContext) -> bool:
    """Tell whether the request may read the metrics: `Authorization: Bearer <METRICS_TOKEN>`."""
    token = site.settings.metrics_token.reveal()
    given = request.headers.get("Authorization", "").encode(errors="surrogateescape")  # any bytes may come
    return bool(token) and hmac.compare_digest(given, f"Bearer {token}".encode())


def _path(request: web.Request) -> str:
    """Return the path as it may be logged: without the secret in a login link."""
    return LINK if request.path.startswith(LINK) else request.path


def _is_office(request: web.Request) -> bool:
    return request.path == "/admin" or request.path.startswith("/admin/")


def _errors(site: WebContext) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refusal as refusal:
            said = site.easel.speech.said(refusal, site.origin(request, site.member(request), ""))
            return await _answer(site, request, 422, said.notice, said)
        except ConnectionError as error:
            log.info("a request broke off", path=_path(request), cause=type(error).__name__)
            raise web.HTTPBadRequest(text=_("That did not arrive whole. Try again.")) from error
        except web.HTTPException as error:
            if error.status < 400:
                raise
            known = {
                404: _("There is no such page."),
                405: _("This cannot be done here."),
                413: _("That is too much to send."),
            }
            # What is raised here holds one of our own messages, as plain text.
            notice = known.get(error.status, Text(error.text or error.reason))
            return await _answer(
                site, request, error.status, notice, retry=error.headers.get("Retry-After", "")
            )
        except EaselError as error:
            log.warning("a request could not be served", path=_path(request), cause=str(error))
            return await _answer(
                site, request, 503, _("The studio cannot do that just now. Try again in a minute.")
            )
        except Exception:
            log.exception("a request failed", path=_path(request))
            return await _answer(
                site, request, 500, _("The studio could not do that. Its log names the cause.")
            )

    return middleware


async def _answer(
    site: WebContext,
    request: web.Request,
    status: int,
    notice: str,
    refusal: Refusal | None = None,
    *,
    retry: str = "",
) -> web.Response:
    answer = await _drawn(site, request, status, notice, refusal)
    if retry:
        answer.headers["Retry-After"] = retry
    return answer


async def _drawn(
    site: WebContext, request: web.Request, status: int, notice: str, refusal: Refusal | None
) -> web.Response:
    if request.path.startswith("/api/"):
        offers = [asdict(offer) for offer in (refusal.offers if refusal else ())]
        spoken = say(notice, site.language(request))
        return web.json_response({"notice": spoken, "offers": offers}, status=status)
    shown = 404 if status == 422 else status
    # Where an administrator's password would help, the way to it is shown.
    door = status == 401 and _is_office(request)
    return await site.html("problem.html", request, status=shown, problem=notice, door=door)
