"""The modules of a model as components: weights in host memory that are copied to the card and let go there.

Copies on the card are never copied back, since nothing changes weights: the ones in host memory stay. Where
files hold weights in the type that the engine uses, those are the files themselves, mapped into memory.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from diffusers.hooks import apply_group_offloading

from engine.errors import OutOfMemory
from engine.profiles import STREAMED
from engine.scheduling.residency import FOR_MODELS, Pace, Residency

OFTEN = 3  # times that a component has come to the card before its copy in host memory is pinned


class DeviceMemory:
    """One device: which components are on it, and how quickly others come there.

    `memory`: bytes for components; `pinned`: bytes of host memory that may be pinned for them. A device that
    uses the machine's memory has no components: weights are where they run.
    """

    kind: ClassVar[type[ModuleComponent]]

    def __init__(self, device: torch.device, memory: float, pinned: float = 0.0) -> None:
        self.device = device
        self.moves = memory < math.inf
        self.card = memory / FOR_MODELS  # bytes
        self.residency: Residency[ModuleComponent] = Residency(memory)
        self.pace = Pace()
        self._pinnable = pinned

    @classmethod
    def of(cls, device: torch.device, pinned: float) -> DeviceMemory:
        """Return what a device has for components now; a card that is not there fails where it is needed."""
        if device.type != "cuda" or device not in cards():
            return cls(device, math.inf)
        free, total = torch.cuda.mem_get_info(device)
        allowed = total * torch.cuda.get_per_process_memory_fraction(device)
        return cls(device, FOR_MODELS * min(allowed, free + torch.cuda.memory_reserved(device)), pinned)

    def component(self, name: str, module: Any) -> ModuleComponent | None:
        """Return a module's component, on the device if it was made there; None where nothing moves."""
        if not self.moves:
            return None
        if bytes_of(module) > self.residency.memory and can_be_streamed(module):
            return StreamedComponent(name, module, self)
        component = self.kind(name, module, self)
        if component.here:
            self.residency.note(component)
        return component

    def bring(self, component: ModuleComponent, alone: bool) -> None:
        """See that a component is on the device, and that it is `alone` there. Raises OutOfMemory."""
        began = time.perf_counter()
        if brought := self.residency.bring(component, alone=alone):
            self.wait()
            self.pace.observe(brought, time.perf_counter() - began)

    def wait(self) -> None:
        """Wait until all that was asked of the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def pin(self, size: int) -> bool:
        """Return whether so many bytes more may be pinned, and count them."""
        if size > self._pinnable:
            return False
        self._pinnable -= size
        return True

    def unpin(self, size: int) -> None:
        self._pinnable += size


class ModuleComponent:
    """One module, whose weights are in host memory, and on the device while calls need them."""

    def __init__(self, name: str, module: Any, memory: DeviceMemory) -> None:
        self.name, self.module, self._memory = name, module, memory
        self.size = bytes_of(module)
        # Some quantised weights cannot leave the card at all.
        self.fixed = bool(getattr(module, "is_loaded_in_8bit", False))
        self._plain = _is_plain(module)
        self._host: dict[int, torch.Tensor] = {}  # copies in host memory, by tensor that is on the device
        self._pinned = 0  # bytes
        self._times = 0  # it has come to the device

    @property
    def here(self) -> bool:
        """Return whether its weights are on the device."""
        return all(each.device.type == self._memory.device.type for each in _tensors(self.module))

    def enter(self, *, alone: bool = False) -> None:
        """See that its weights are on the device, with no other's if `alone`. Raises OutOfMemory."""
        self._memory.bring(self, alone)

    def make_room(self) -> bool:
        """Take all other components off the device; return whether there was any."""
        return self._memory.residency.make_room(self)

    def leaving(self, *, alone: bool = False) -> tuple[ModuleComponent, ...]:
        """Return the components that leave when this one enters."""
        return self._memory.residency.leaving(self, alone=alone)

    def bring(self) -> None:
        """Put its weights on the device. Raises OutOfMemory, and then has none there."""
        self._times += 1
        if self._plain and self._times == OFTEN:
            self._pin()
        try:
            self._copy()
        except (torch.OutOfMemoryError, MemoryError) as error:
            self.drop()
            raise OutOfMemory(f"{self.name} does not fit: {error}") from None

    def _copy(self) -> None:
        if not self._plain:
            self.module.to(self._memory.device)
            return
        for tensor in _tensors(self.module):
            self._host[id(tensor)] = tensor.data
            tensor.data = tensor.data.to(self._memory.device, non_blocking=True)

    def drop(self) -> None:
        """Let its weights on the device go; what was made there is copied to host memory first."""
        if not self._plain:
            self.module.to("cpu")
            return
        for tensor in _tensors(self.module):
            host = self._host.get(id(tensor))
            tensor.data = tensor.data.cpu() if host is None else host
        self._host.clear()

    def unload(self) -> None:
        """Forget it: its model is unloaded."""
        self._memory.residency.forget(self)
        self._memory.unpin(self._pinned)
        self._pinned = 0

    def _pin(self) -> None:
        """Pin the copy in host memory, as far as there may be more of that: copies from there are quick."""
        # torch takes pinned memory in powers of two.
        size = sum(2 ** math.ceil(math.log2(max(1, each.nbytes))) for each in _tensors(self.module))
        if self._memory.pin(size):
            self._pinned = size
            for tensor in _tensors(self.module):
                tensor.data = tensor.data.pin_memory()


DeviceMemory.kind = ModuleComponent


def cards() -> list[torch.device]:
    """Return the CUDA devices that there are, the first one also as `cuda`."""
    count = torch.cuda.device_count()
    return [torch.device("cuda", number) for number in range(count)] + [torch.device("cuda")] * bool(count)


class StreamedComponent(ModuleComponent):
    """One module that is larger than the device: its blocks come one after another, at each pass.

    diffusers brings them, the next one while the last one computes. Two of them are there at once.
    """

    def __init__(self, name: str, module: Any, memory: DeviceMemory) -> None:
        super().__init__(name, module, memory)
        blocks = [block for child in module.children() if isinstance(child, _BLOCKS) for block in child]
        beside = bytes_of(module) - sum(map(bytes_of, blocks))
        self.size = beside + 2 * max(map(bytes_of, blocks), default=0)
        in_blocks = bool(blocks) and self.size <= memory.residency.memory
        if not in_blocks:  # layer by layer then, which takes more copies
            self.size = int(STREAMED * bytes_of(module))
        streams = memory.device.type == "cuda"
        apply_group_offloading(
            module,
            onload_device=memory.device,
            offload_type="block_level" if in_blocks else "leaf_level",
            num_blocks_per_group=1 if in_blocks else None,
            use_stream=streams,
            low_cpu_mem_usage=streams,  # else all of it would be pinned
        )

    @property
    def here(self) -> bool:
        return False

    def bring(self) -> None:
        """Do nothing: a pass brings what it needs."""

    def drop(self) -> None:
        """Do nothing: nothing stays on the device after a pass."""


_BLOCKS = (torch.nn.ModuleList, torch.nn.Sequential)


def can_be_streamed(module: Any) -> bool:
    """Return whether a module's blocks can come to a device one after another."""
    return _is_plain(module) and getattr(module, "_supports_group_offloading", True)


def bytes_of(module: Any) -> int:
    """Return the bytes of a module's weights."""
    return sum(map(_nbytes, _tensors(module)))


def _nbytes(tensor: Any) -> int:
    """Return the bytes of a tensor; quantised ones are made of several, and name the type they stand for."""
    if type(tensor) in _PLAIN or not hasattr(tensor, "__tensor_flatten__"):
        return int(tensor.nbytes)
    names, _ = tensor.__tensor_flatten__()
    return sum(_nbytes(getattr(tensor, name)) for name in names)


def _is_plain(module: Any) -> bool:
    """Return whether a module's weights can be exchanged: quantised ones are no plain tensors."""
    return all(type(each) in _PLAIN for each in _tensors(module))


_PLAIN = (torch.Tensor, torch.nn.Parameter)


def _tensors(module: Any) -> Iterator[torch.Tensor]:
    yield from module.parameters()
    yield from module.buffers()


class _Hook:
    """What tells diffusers that a module runs on a device, wherever its weights are now."""

    def __init__(self, device: torch.device) -> None:
        self.execution_device = device


def components_of(pipe: Any, memory: DeviceMemory) -> Mapping[str, ModuleComponent]:
    """Return a pipeline's components by name, and let it run on the device while they come and go."""
    found: dict[str, ModuleComponent] = {}
    for name, module in pipe.components.items():
        if isinstance(module, torch.nn.Module) and (component := memory.component(name, module)):
            found[name] = component
            if not hasattr(module, "_hf_hook"):
                module._hf_hook = _Hook(memory.device)  # type: ignore[assignment]
    return found
