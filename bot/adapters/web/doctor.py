"""Whether the web studio can be opened."""

from __future__ import annotations

import socket
from urllib.request import ProxyHandler, build_opener

from bot.adapters.web.settings import WebSettings
from bot.findings import Finding, own_file


def examine(settings: WebSettings, *, running: bool) -> tuple[Finding, Finding]:
    """Check that the port is to be had, and who can read the administrator's password."""
    return port(settings.web_host, settings.web_port, ours=running), administrator(settings)


def port(host: str, number: int, *, ours: bool = False) -> Finding:
    """Check that the web port is free, or `ours`: used by the Easel on this data folder."""
    name = f"{host}:{number}"
    try:
        family = socket.getaddrinfo(host, number)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, number))
    except OSError as error:
        if ours and _is_easel(host, number):
            return Finding("Web port", True, f"{name} is held by the Easel that runs here")
        remedy = "Stop what uses it (another Easel?), or set WEB_PORT to another number or 0."
        return Finding("Web port", False, f"{name} cannot be used ({error.strerror})", remedy)
    return Finding("Web port", True, f"{name} is free")


def _is_easel(host: str, port: int) -> bool:
    """Tell whether a web studio answers there."""
    near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    address = f"http://[{near}]:{port}/livez" if ":" in near else f"http://{near}:{port}/livez"
    try:
        with build_opener(ProxyHandler({})).open(address, timeout=5) as answer:
            return bool(answer.read(10) == b"ok\n")
    except (OSError, ValueError):
        return False


def administrator(settings: WebSettings) -> Finding:
    title = "Web admin"
    if settings.web_admin_password:
        return Finding(title, True, "the page /admin asks for WEB_ADMIN_PASSWORD")
    if not settings.admin_password_file.is_file():
        return Finding(title, None, "the first start makes a password for the page /admin")
    return own_file(title, settings.admin_password_file, "and the password of the page /admin stands there")
