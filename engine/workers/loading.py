"""Loads models in a thread of its own, so that the worker's loop goes on with steps and orders."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

import torch
from huggingface_hub import constants, hf_hub_download, model_info
from huggingface_hub.file_download import repo_folder_name

from engine.catalog import Entry
from engine.errors import EngineError, ModelNotLoaded
from engine.pipelines.model_files import whole
from engine.pipelines.run import Loaded
from engine.types import Loading

T = TypeVar("T")

_log = logging.getLogger(__name__)

STUCK_SECONDS = 1800.0  # without a byte of progress before loading counts as failed


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of loading a model."""

    entry: Entry
    result: Loaded | EngineError | None  # None: its files are in memory, and it is still to be made
    seconds: float


class Loader:
    """Loads one model after another. `load` runs in the loader's thread; None: the loop makes the model."""

    def __init__(self, load: Callable[[Entry], Loaded | None]) -> None:
        self._load = load
        self._wanted: dict[str, Entry] = {}  # by name, the first is being loaded
        self._began = self._progressed = 0.0
        # Of the one that is being loaded, bytes in the hub's cache: now, at the beginning, and in the end.
        self._fetched = self._found = self._total = 0
        self._done: queue.SimpleQueue[tuple[int, Outcome]] = queue.SimpleQueue()
        self._round = 0  # number of the present load; outcomes of earlier ones are ignored

    @property
    def busy(self) -> bool:
        return bool(self._wanted)

    @property
    def loading(self) -> Loading | None:
        """Return what is being loaded now."""
        name = next(iter(self._wanted), None)
        if name is None:
            return None
        arriving = self._fetched < self._total if self._total else self._fetched > self._found
        return Loading(name, self._fetched, self._total) if arriving else Loading(name)

    def ask(self, entry: Entry) -> None:
        """Load a model, unless it is being loaded already."""
        if entry.info.name not in self._wanted:
            self._wanted[entry.info.name] = entry
            if len(self._wanted) == 1:
                self._start(entry)

    def outcomes(self) -> Iterator[Outcome]:
        """Yield what has been loaded, or failed, since the last time."""
        self._watch()
        while not self._done.empty():
            number, outcome = self._done.get()
            if number != self._round:
                continue
            self._next(outcome.entry)
            yield outcome

    def _watch(self) -> None:
        """Give up on a load that makes no progress: its thread may wait for a disk or a server for ever."""
        if not self.busy:
            return
        entry, now = next(iter(self._wanted.values())), time.monotonic()
        fetched = _bytes_in_cache(entry.source) if entry.local is None else 0
        if fetched != self._fetched:
            self._fetched, self._progressed = fetched, now
        if now - self._progressed > STUCK_SECONDS:
            error = ModelNotLoaded(f"{entry.source}: no progress for {STUCK_SECONDS:.0f} s")
            self._done.put((self._round, Outcome(entry, error, now - self._began)))

    def _next(self, entry: Entry) -> None:
        self._wanted.pop(entry.info.name, None)
        if self._wanted:
            self._start(next(iter(self._wanted.values())))

    def _start(self, entry: Entry) -> None:
        self._round += 1
        self._began = self._progressed = time.monotonic()
        self._fetched = self._found = 0
        if entry.local is None:
            _remove_what_is_left(entry.source)
            self._fetched = self._found = _bytes_in_cache(entry.source)
        self._total = 0
        name = f"loader-{entry.info.name}"
        threading.Thread(target=self._run, args=(self._round, entry), name=name, daemon=True).start()
        if entry.local is None:  # beside it: without a network, the hub's library tries for half a minute
            ask = threading.Thread(target=self._ask_size, args=(self._round, entry.source), daemon=True)
            ask.start()

    def _ask_size(self, number: int, source: str) -> None:
        total = _bytes_to_fetch(source)
        self._total = total if number == self._round else self._total

    @torch.no_grad()
    def _run(self, number: int, entry: Entry) -> None:
        began = time.monotonic()
        result = attempt(self._load, entry)
        self._done.put((number, Outcome(entry, result, time.monotonic() - began)))


def attempt(load: Callable[[Entry], T], entry: Entry) -> T | EngineError:
    """Load a model, or return why it cannot be loaded."""
    try:
        return load(entry)
    except EngineError as error:
        return error
    except Exception as error:  # a device without its driver, say
        return ModelNotLoaded(f"{entry.source}: {error}")


def _bytes_to_fetch(name: str) -> int:
    """Return the bytes of weights of a hub's model, as diffusers fetches it; 0 where nobody tells."""
    try:
        index = json.loads(Path(hf_hub_download(name, "model_index.json")).read_text(encoding="utf-8"))
        files = model_info(name, files_metadata=True).siblings or []
    except Exception as error:  # offline, say: the download itself tells what is wrong
        _log.info("the hub does not tell the size of %s: %s", name, error)
        return 0
    sizes = {PurePosixPath(file.rfilename): file.size or 0 for file in files}
    folders = [part for part, made in index.items() if isinstance(made, list)]
    named = {folder: [path for path in sizes if str(path.parent) == folder] for folder in folders}
    return sum(sizes[path] for paths in named.values() for path in whole(paths))


def _bytes_in_cache(name: str) -> int:
    """Return the bytes of a hub's model that are on this machine, those of unfinished files too."""
    total = 0.0
    for _file, found in _blobs(name):
        # A file may have its size before it has its content.
        total += min(found.st_size, getattr(found, "st_blocks", math.inf) * 512)
    return int(total)


def _remove_what_is_left(name: str) -> None:
    """Remove unfinished files of a hub's model that a killed worker has left.

    The hub's library fetches the files that are missing, and begins each of them anew.
    """
    for file, found in _blobs(name):
        if file.suffix == ".incomplete" and time.time() - found.st_mtime > STUCK_SECONDS:
            with contextlib.suppress(OSError):
                file.unlink()


def _blobs(name: str) -> Iterator[tuple[Path, os.stat_result]]:
    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type="model") / "blobs"
    for file in folder.glob("*"):
        with contextlib.suppress(OSError):  # an unfinished file that has just got its name
            yield file, file.stat()
