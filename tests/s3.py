"""An S3 on the loopback address: moto's, which keeps objects in memory."""

from __future__ import annotations

import logging
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from bot.settings import Secret

KEYS = {"s3_access_key": "key", "s3_secret_key": Secret("secret")}


@contextmanager
def s3_server() -> Iterator[str]:
    """Yield the address of a server without any buckets."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def make_bucket(server: str, name: str) -> None:
    request = urllib.request.Request(f"{server}/{name}", method="PUT")
    urllib.request.urlopen(request, timeout=10).close()
