"""What paints, and on what: the settings of the engine, and the engine that they ask for."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from bot.errors import SettingError
from bot.guard import Guard
from bot.images.blobs import BlobStore
from bot.settings import CoreSettings, Several
from engine.errors import EngineError
from engine.types import Engine
from engine.workers.fake import MEMORY, FakeEngine
from engine.workers.process import ProcessEngine

MEMORY_STEP = 0.02  # seconds a step takes with MODEL=memory


def _models(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("one or more model names with commas between them")
    return names


def _devices(value: str) -> str:
    wanted = [device.strip().lower() for device in value.split(",")]
    alone = len(wanted) == 1 and wanted[0] in ("auto", "cpu", "cuda", "mps")
    if not alone and not all(d.startswith("cuda:") and d[5:].isdecimal() for d in wanted):
        raise ValueError("auto, cpu, cuda, mps, or GPUs by number as in cuda:0,cuda:1")
    return ",".join(wanted)


class EngineSettings(CoreSettings):
    """Models and devices."""

    model: Annotated[Several, AfterValidator(_models)] = ("easel-tiny",)
    """The models to offer, with commas between them; the first is the default. Each is a name of the
    catalog, a hub name (owner/model), a folder or a .safetensors file."""
    loras: str = ""
    """A folder with LoRAs that people may ask for: .safetensors files, and loras.toml for those on the hub;
    docs/models.md tells how."""
    device: Annotated[str, AfterValidator(_devices)] = "auto"
    """What to paint on: auto, cpu, cuda, mps, or GPUs by number as in cuda:0,cuda:1."""
    cutout_model: str = ""
    """A segmentation model that cuts images out: a folder, or a hub name (owner/model), of a transformers
    model that has a label named background. Empty: the network that ships, which knows drawings."""
    hang_seconds: Annotated[float, Field(ge=5, le=86400, allow_inf_nan=False)] = 120.0
    """A step that takes longer than this many seconds restarts its worker."""


def open_engine(settings: EngineSettings, blobs: BlobStore, guard: Guard, *, judged: bool = False) -> Engine:
    """Return the engine, not started yet. Raises SettingError where a model or a device is not to be had.

    `judged`: there is a model that judges pictures.
    """
    if settings.model == (MEMORY.name,):
        return FakeEngine(blobs.read, step_seconds=MEMORY_STEP, may_start=guard.may_start)
    try:
        return ProcessEngine(
            models=settings.model,
            device=settings.device,
            read=blobs.read,
            hang_seconds=settings.hang_seconds,
            loras=settings.loras,
            state=str(settings.data_dir),
            cutout=settings.cutout_model,
            judged=judged,
            may_start=guard.may_start,
        )
    except EngineError as error:
        raise SettingError(error.advice) from error
