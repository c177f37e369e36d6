"""`python -m engine.embedded.training`: everything, or one sub-step, in a working folder.

Nothing is lost when it is stopped: what is finished is not done again, and the denoiser goes on
from its newest checkpoint.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from engine.embedded import evaluate
from engine.embedded.training import (
    autoencoder,
    bundle,
    classifier,
    cutouts,
    data,
    denoiser,
    export,
    first_step,
    latents,
    pace,
    results,
    upscaler,
)

log = logging.getLogger(__name__)

DECODER_SHARE = 0.2  # of the time
ENDING = 0.25  # minutes for the sheet and the last files


def _data(options: argparse.Namespace) -> None:
    data.prepare(options.work)
    autoencoder.prepare(options.work)


def _latents(options: argparse.Namespace) -> None:
    latents.prepare(options.work, scenes=options.scenes, minutes=options.minutes)


def _autoencoder(options: argparse.Namespace, minutes: float | None = None) -> None:
    latents.wait_for(options.work, denoiser.FIRST_PARTS)
    shown = latents.pictures(options.work, pace.DEVICE)
    autoencoder.train(options.work, options.minutes if minutes is None else minutes, shown)


def _denoiser(options: argparse.Namespace) -> None:
    denoiser.Trainer(options.work).run(options.minutes)


def _sheet(options: argparse.Namespace) -> None:
    """Draw the fixed prompts with the newest weights, into `work/sheets` or among the results."""
    path = options.work / "sheets" / f"{export.progress_of(options.work).step:07}.png"
    if options.results:
        path = options.results / "sheet.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    studio = evaluate.Painter(export.assemble(options.work).to(pace.DEVICE), evaluate.EvaluationSettings())
    evaluate.contact_sheet(studio, path)


def _take(options: argparse.Namespace) -> None:
    results.take(options.results, options.work)


STEPS: dict[str, Callable[[argparse.Namespace], object]] = {
    "data": _data,
    "latents": _latents,
    "autoencoder": _autoencoder,
    "denoiser": _denoiser,
    "first_step": lambda options: first_step.measure(options.work),
    "upscaler": lambda options: upscaler.prepare(options.work),
    "classifier": lambda options: classifier.train(options.work, options.minutes),
    "cutout": lambda options: cutouts.train(options.work, options.minutes),
    "sheet": _sheet,
    "take": _take,
    "card": lambda options: export.write_card(options.work),
    "export": lambda options: export.export(options.work),
}


def everything(options: argparse.Namespace, begun: float) -> None:
    """Train decoder and denoiser by the clock while other processes make the training set; draw a sheet."""

    def keep() -> None:
        if options.results:
            results.write(options.work, options.results)

    with _latents_meanwhile(options):
        _autoencoder(options, options.minutes * DECODER_SHARE)
        keep()
        trainer = denoiser.Trainer(options.work)
        left = options.minutes - min(ENDING, options.minutes / 10) - (time.monotonic() - begun) / 60
        log.info("the denoiser has %.0f seconds", 60 * left)
        trainer.run(left, keep)
    _sheet(options)
    if not options.results:
        export.export(options.work)


@contextmanager
def _latents_meanwhile(options: argparse.Namespace) -> Iterator[None]:
    """Make the training set in other processes while the block runs, and stop them at its end."""
    wanted = ["--work", options.work, "--minutes", options.minutes, "--scenes", options.scenes]
    command = [sys.executable, "-m", "engine.embedded.training", "latents", *map(str, wanted)]
    making = subprocess.Popen(command, start_new_session=True)
    try:
        yield
    finally:
        if making.poll() is None:
            os.killpg(making.pid, signal.SIGTERM)
        making.wait()


def main() -> None:
    begun = time.monotonic()
    parser = argparse.ArgumentParser(prog="python -m engine.embedded.training", description=__doc__)
    parser.add_argument("step", nargs="?", choices=STEPS, help="one sub-step instead of all")
    home = Path.home() / ".cache" / "easel" / "training"
    parser.add_argument("--work", type=Path, default=home, help="cache and checkpoints")
    parser.add_argument("--bundle", type=Path, help="write what a GPU machine needs into this file, and stop")
    parser.add_argument("--from-bundle", type=Path, help="begin with such a file, without a network")
    parser.add_argument("--results", type=Path, help="folder for what goes home, or, with `take`, came home")
    parser.add_argument("--minutes", type=float, default=60.0, help="wall-clock budget")
    parser.add_argument("--scenes", type=int, default=latents.COMPOSITIONS, help="how many to compose")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if pace.DEVICE.type == "cpu":
        pace.be_polite()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    if options.from_bundle:
        bundle.unpack(options.from_bundle, options.work)
    if not options.step:
        _data(options)
    if options.bundle:
        bundle.pack(options.work, options.bundle)
    elif options.step:
        STEPS[options.step](options)
    else:
        everything(options, begun)


if __name__ == "__main__":
    main()
