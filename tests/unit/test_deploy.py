"""What is shipped to run Easel with agrees with Easel; proxies that this machine has are tried."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import ClientSession, FormData

from bot import telemetry
from bot.surfaces import Settings
from tests.web import PATIENCE, WebHouse, web_house

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
NAME = re.compile(r"\beasel_\w+")
HOST = "studio.example.org"


def metrics() -> dict[str, set[str]]:
    """Return the names of /metrics, each with its labels."""
    found: dict[str, set[str]] = {}
    for metric in telemetry.REGISTRY.collect():
        collector = telemetry.REGISTRY._names_to_collectors[metric.name]
        labels = set(collector._labelnames)  # type: ignore[attr-defined]
        ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(metric.type, ("",))
        found |= {metric.name + end: labels for end in ends}
    return found


def expressions() -> list[tuple[str, str]]:
    board = json.loads((DEPLOY / "grafana.json").read_text())
    alerts = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())
    shown = [(each["title"], target["expr"]) for each in board["panels"] for target in each["targets"]]
    return shown + [(rule["alert"], rule["expr"]) for group in alerts["groups"] for rule in group["rules"]]


@pytest.mark.parametrize(("title", "expression"), expressions(), ids=[title for title, _ in expressions()])
def test_the_board_and_the_alerts_ask_for_numbers_that_there_are(title: str, expression: str) -> None:
    known = metrics()
    names = set(NAME.findall(expression))
    assert names <= set(known) and (names or expression == 'up{job="easel"} == 0'), title
    labels = {"le", *(label for name in names for label in known[name])}
    for said in re.findall(r"by \(([^)]*)\)", expression):
        assert set(said.split(", ")) <= labels, title
    for state in re.findall(r'state=~?"([^"]*)"', expression):
        assert set(state.split("|")) <= {"queued", "rendered", "failed", "cancelled"}, title


def test_every_number_is_on_the_board() -> None:
    asked = {
        re.sub("_(bucket|sum|count|total)$", "", name)
        for _, each in expressions()
        for name in NAME.findall(each)
    }
    assert {metric.name for metric in telemetry.REGISTRY.collect()} == asked


def test_the_container_s_files_fit_together() -> None:
    compose = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
    services = compose["services"]
    assert services["easel"].get("profiles") is None
    assert services["easel-gpu"]["profiles"] == ["gpu"] and services["postgres"]["profiles"] == ["postgres"]
    card = services["easel-gpu"]
    assert card["deploy"]["resources"]["reservations"]["devices"][0]["driver"] == "nvidia"
    assert card["build"]["args"]["TORCH"] == "cuda"
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
    for service in (services["easel"], card):
        assert set(service["build"]["args"]) == set(re.findall(r"^ARG (\w+)", dockerfile, re.MULTILINE))
        paths = {volume.split(":")[1] for volume in service["volumes"]}
        assert paths == {"/data", "/hub"}
    assert "DATA_DIR=/data" in dockerfile and "HF_HOME=/hub" in dockerfile
    assert set(services["easel"]["environment"]) <= {name.upper() for name in Settings.model_fields}


# --- proxies, where this machine has them


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def certificate(folder: Path) -> tuple[Path, Path]:
    key, pem = folder / "key.pem", folder / "cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        f"/CN={HOST}",
    ]
    subprocess.run([*command, "-keyout", str(key), "-out", str(pem)], check=True, capture_output=True)
    return key, pem


def nginx(folder: Path, upstream: int, port: int) -> list[str]:
    key, pem = certificate(folder)
    server = (DEPLOY / "nginx.conf").read_text()
    server = server.replace("127.0.0.1:8000", f"127.0.0.1:{upstream}")
    server = server.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    server = server.replace("listen 80", f"listen 127.0.0.1:{free_port()}")
    server = re.sub(r"/etc/\S+fullchain\.pem", str(pem), server)
    server = re.sub(r"/etc/\S+privkey\.pem", str(key), server)
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/log;"
        f"events {{}} http {{ access_log off; {temporary} {server} }}"
    )
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy(folder: Path, upstream: int, port: int) -> list[str]:
    key, pem = certificate(folder)
    text = (DEPLOY / "Caddyfile").read_text().replace("127.0.0.1:8000", f"127.0.0.1:{upstream}")
    text = text.replace(f"{HOST} {{", f"https://{HOST}:{port} {{\n\tbind 127.0.0.1\n\ttls {pem} {key}")
    (folder / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https off\n}\n" + text)
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


@asynccontextmanager
async def behind(name: str, folder: Path) -> AsyncIterator[tuple[WebHouse, str]]:
    port, url = free_port(), f"https://{HOST}"
    async with web_house(folder / "data", web_url=url, web_proxies=("127.0.0.1",)) as house:
        make: Any = {"nginx": nginx, "caddy": caddy}[name]
        command = await asyncio.to_thread(make, folder, int(house.url.rpartition(":")[2]), port)
        proxy = await asyncio.create_subprocess_exec(*command)
        try:
            await listening(port)
            yield house, f"https://localhost:{port}"
        finally:
            proxy.terminate()
            await proxy.wait()


async def listening(port: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return


@pytest.mark.parametrize("name", ["nginx", "caddy"])
async def test_the_studio_works_behind_a_proxy_with_tls(name: str, tmp_path: Path) -> None:
    """Somebody logs in by a link, is sent events as they happen, and uploads what is allowed."""
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    known: Any = {"ssl": False, "server_hostname": HOST, "headers": {"Host": HOST}, "allow_redirects": False}
    async with behind(name, tmp_path) as (house, url), ClientSession(url) as session:
        _, card = await house.easel.logins.invite("Ada")
        path = card.link.removeprefix(f"https://{HOST}")
        assert path.startswith("/")
        async with session.post(path, **known) as answer:
            assert answer.status == 303 and "Secure" in answer.headers["Set-Cookie"]
        async with session.get("/", **known) as page:
            assert page.status == 200 and "Ada" in await page.text()
        async with session.get("/api/events", **known) as events:
            assert events.status == 200
            assert await asyncio.wait_for(events.content.readline(), PATIENCE) == b"retry: 1000\n"
        form = FormData({"picture": io.BytesIO(b"x" * 19_000_000)})
        async with session.post("/verify", data=form, **known) as told:
            assert told.status != 413 and told.status < 500
