"""What paints, and on what: the settings of the engine, and the engine that they ask for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import AfterValidator, Field

from bot.errors import SettingError
from bot.guard import Guard
from bot.images.blobs import BlobStore
from bot.settings import CoreSettings, Secret, Several
from engine.errors import EngineError
from engine.remote.models import RemoteModels
from engine.types import Engine
from engine.workers.fake import MEMORY, FakeEngine
from engine.workers.process import ProcessEngine

OPENAI = "api.openai.com"
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
    catalog, a hub name (owner/model), a folder, a .safetensors file, or a model behind an API as in
    openai:https://api.openai.com/v1#gpt-image-2."""
    openai_api_key: Secret = Secret()
    """The key for models at api.openai.com; it is sent to no other server."""
    model_keys: Secret = Secret()
    """Keys for other models behind an API, each by the model's or the server's name, with commas between
    them: qwen-image=KEY,images.example.org=KEY."""
    remote_models: str = ""
    """A TOML file that says more of models behind an API: their prices, sizes, quality and limits;
    docs/remote.md tells how."""
    loras: str = ""
    """A folder with LoRAs that people may ask for: .safetensors files, and loras.toml for those on the hub;
    docs/models.md tells how."""
    controlnets: str = ""
    """A folder with ControlNets for --control: each a folder in diffusers' form, with safetensors;
    docs/control.md tells how."""
    ip_adapters: str = ""
    """A folder with IP-Adapters for --sref and --cref: .safetensors files, and the folder of their image
    encoder; docs/control.md tells how."""
    device: Annotated[str, AfterValidator(_devices)] = "auto"
    """What to paint on: auto, cpu, cuda, mps, or GPUs by number as in cuda:0,cuda:1."""
    cutout_model: str = ""
    """A segmentation model that cuts images out: a folder, or a hub name (owner/model), of a transformers
    model that has a label named background. Empty: the network that ships, which knows drawings."""
    hang_seconds: Annotated[float, Field(ge=5, le=86400, allow_inf_nan=False)] = 120.0
    """A step that takes longer than this many seconds restarts its worker."""

    def keys(self) -> ModelKeys:
        """Return the keys of models behind an API. Raises ValueError for what is no list of keys."""
        found = {OPENAI: self.openai_api_key.reveal()}
        for each in filter(None, (part.strip() for part in re.split(r"[,\n]", self.model_keys.reveal()))):
            name, sign, key = each.partition("=")
            if not sign or not name.strip() or not key.strip():
                raise ValueError("MODEL_KEYS must be names with keys, as in qwen-image=KEY,host=KEY.")
            found[name.strip().casefold()] = key.strip()
        return ModelKeys({name: key for name, key in found.items() if key})

    def secrets(self) -> tuple[Secret, ...]:
        """Return the secrets that are set, each key of MODEL_KEYS alone, too."""
        try:
            keys = tuple(self.keys().by_name.values())
        except ValueError:
            keys = ()
        return (*super().secrets(), *map(Secret, keys))


@dataclass(frozen=True)
class ModelKeys:
    """Keys by the name of a model, or of the host that it is asked at."""

    by_name: Mapping[str, str] = field(default_factory=dict, repr=False)

    def of(self, model: str, host: str) -> str:
        """Return a model's key; empty where there is none."""
        return self.by_name.get(model) or self.by_name.get(host, "")


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
            controlnets=settings.controlnets,
            ip_adapters=settings.ip_adapters,
            state=str(settings.data_dir),
            cutout=settings.cutout_model,
            remotes=RemoteModels.read(settings.remote_models),
            key=settings.keys().of,
            judged=judged,
            may_start=guard.may_start,
        )
    except EngineError as error:
        raise SettingError(error.advice) from error
    except ValueError as error:
        raise SettingError(str(error)) from None
