"""Processes of Easel for tests: forks of one that has imported it, which is most of the work of a start.

`python -m tests.processes FD` is that one: it takes what to run, and the ends of pipes, from a Unix socket.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PATIENCE = 120.0  # seconds; only a broken process needs them
IMPORTED = (
    "bot.app",
    "bot.adapters.cli",
    "bot.adapters.web.adapter",
    "tests.contract.slack.house",
    "tests.scenario.conftest",
)
MOST = 1 << 20  # bytes of a request


class Process:
    """`python -m module arguments…`. Like `subprocess.Popen`, with text in its pipes."""

    def __init__(
        self, module: str, *arguments: str, cwd: Path = ROOT, env: Mapping[str, str] = os.environ
    ) -> None:
        self.returncode: int | None = None
        pipes = [os.pipe() for _ in ("out", "err")]
        self.stdout, self.stderr = (os.fdopen(end, encoding="utf-8", errors="replace") for end, _ in pipes)
        self._news, theirs = socket.socketpair()
        self._news.settimeout(PATIENCE)
        request = {"argv": [module, *arguments], "cwd": str(cwd), "env": dict(env)}
        ends = [*(end for _, end in pipes), theirs.fileno()]
        socket.send_fds(_server()[0], [json.dumps(request).encode()], ends)
        for _, end in pipes:
            os.close(end)
        theirs.close()
        self.pid = self._number()

    def _number(self) -> int:
        told = self._news.recv(8, socket.MSG_WAITALL)
        assert len(told) == 8, "what started this process is gone"
        return int.from_bytes(told, "big", signed=True)

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = self._number()
        return self.returncode

    def communicate(self) -> tuple[str, str]:
        """Wait for the end; return what it said after what was read. Calling it twice is fine."""
        with ThreadPoolExecutor(2) as threads:
            pipes = (self.stdout, self.stderr)
            out, err = threads.map(lambda pipe: "" if pipe.closed else pipe.read(), pipes)
        self.wait()
        for each in (self.stdout, self.stderr, self._news):
            each.close()
        return out, err


@functools.cache
def _server() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start the process that forks; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.processes", str(theirs.fileno())],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    atexit.register(_end, ours, process)
    return ours, process


def _end(requests: socket.socket, process: subprocess.Popen[bytes]) -> None:
    requests.close()
    process.wait()


def _serve(requests: socket.socket) -> dict[str, Any]:
    """Fork for each request. Returns in the forks alone, as what they are to run."""
    forks = 0
    while True:
        request, ends, _, _ = socket.recv_fds(requests, MOST, 3)
        while forks and os.waitpid(-1, os.WNOHANG)[0]:
            forks -= 1
        if not request:
            sys.exit()
        forks += 1
        if os.fork() == 0:
            requests.close()
            _watched(*ends)
            told: dict[str, Any] = json.loads(request)
            return told
        for end in ends:
            os.close(end)


def _watched(out: int, err: int, news: int) -> None:
    """Fork, and tell of the child's id and of its end; returns in the child."""
    if child := os.fork():
        os.close(out)
        os.close(err)
        os.write(news, child.to_bytes(8, "big"))
        _, status = os.waitpid(child, 0)
        os.write(news, os.waitstatus_to_exitcode(status).to_bytes(8, "big", signed=True))
        os._exit(0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    for end in (out, err, news):
        os.close(end)


def main() -> None:
    for module in IMPORTED:
        import_module(module)
    gc.freeze()  # what the forks share is not copied for a collector to look at
    told = _serve(socket.socket(fileno=int(sys.argv[1])))
    os.chdir(told["cwd"])
    os.environ.clear()
    os.environ.update(told["env"])
    sys.argv, sys.path[0] = told["argv"], told["cwd"]
    encoding = os.environ.get("PYTHONIOENCODING", "utf-8")
    sys.stdout = open(1, "w", encoding=encoding, closefd=False)
    sys.stderr = open(2, "w", 1, encoding, "backslashreplace", closefd=False)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
