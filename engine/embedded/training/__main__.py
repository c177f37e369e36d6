"""`python -m engine.embedded.training`: everything, or one sub-step, in a working folder.

Nothing is lost when it is stopped: what is finished is not done again, and the denoiser goes on
from its newest checkpoint.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from pathlib import Path

import torch

from engine.embedded import evaluate
from engine.embedded.training import (
    autoencoder,
    bundle,
    classifier,
    data,
    denoiser,
    export,
    first_step,
    latents,
    pace,
    upscaler,
)

Step = Callable[[Path, float], object]


def _denoiser(work: Path, minutes: float) -> None:
    denoiser.Trainer(work).run(minutes)


def sheet(work: Path, minutes: float) -> None:
    """The fixed prompts as the newest weights draw them, into `work/sheets`."""
    folder = work / "sheets"
    folder.mkdir(exist_ok=True)
    studio = evaluate.Studio(export.assemble(work), evaluate.Settings())
    evaluate.contact_sheet(studio, folder / f"{export.progress_of(work).step:07}.png")


STEPS: dict[str, Step] = {
    "data": lambda work, minutes: data.prepare(work),
    "autoencoder": autoencoder.train,
    "latents": lambda work, minutes: latents.prepare(work),
    "denoiser": _denoiser,
    "first_step": lambda work, minutes: first_step.measure(work),
    "upscaler": lambda work, minutes: upscaler.prepare(work),
    "classifier": classifier.train,
    "sheet": sheet,
    "card": lambda work, minutes: export.write_card(work),
    "export": lambda work, minutes: export.export(work),
}


def everything(work: Path, minutes: float) -> None:
    """From packages to a pipeline folder; a first autoencoder takes a quarter of the time."""
    data.prepare(work)
    autoencoder.prepare(work, minutes / 4)
    latents.prepare(work)
    _denoiser(work, minutes)
    sheet(work, minutes)
    export.export(work)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m engine.embedded.training", description=__doc__)
    parser.add_argument("step", nargs="?", choices=STEPS, help="one sub-step instead of all")
    home = Path.home() / ".cache" / "easel" / "training"
    parser.add_argument("--work", type=Path, default=home, help="cache and checkpoints")
    parser.add_argument("--bundle", type=Path, help="write what a GPU machine needs into this file, and stop")
    parser.add_argument("--from-bundle", type=Path, help="begin with such a file, without a network")
    parser.add_argument("--minutes", type=float, default=60.0, help="wall-clock budget")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    pace.be_polite()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    if options.from_bundle and not (options.work / "drawings.json").exists():
        bundle.unpack(options.from_bundle, options.work)
    if options.bundle:
        data.prepare(options.work)
        bundle.pack(options.work, options.bundle)
        return
    (STEPS[options.step] if options.step else everything)(options.work, options.minutes)


if __name__ == "__main__":
    main()
