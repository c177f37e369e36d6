"""The denoiser: a small UNet on 8x8 latents, v-prediction, cosine schedule, zero terminal SNR.

Samples come from the cached latents and text states, so that a step is nothing but the network.
Checkpoints are safetensors written every few minutes; training goes on from the newest one, and
with none from the weights that ship in the pipeline folder.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from engine.embedded import PIPELINE
from engine.embedded.training import latents, text
from engine.embedded.training.autoencoder import LATENT_CHANNELS
from engine.embedded.training.pace import DEVICE, HAS_BFLOAT16, StepPace

log = logging.getLogger(__name__)

SMALL, LARGE = "small", "large"
SIZE = SMALL if DEVICE.type == "cpu" else LARGE  # of a denoiser that begins; a large one asks for a GPU
BATCH = 128 if DEVICE.type == "cpu" else 1024
VALIDATION_BATCH = 16
LEARNING_RATE = 1.2e-3
YOUNG = 1_000_000  # pictures; past them a stretch begins more gently, so as not to unlearn what is known
FINAL_RATE = 3e-5  # reached at the end of the wall-clock budget
LATE = 0.9  # of the schedule: from there on next to nothing of the picture is left in the noise
LATE_SHARE = 0.3  # samples from there on: that is where a ground is invented from words alone
EMPTY_SHARE = 0.1  # samples that train the empty prompt, for classifier-free guidance
EMA_DECAY = 0.999
EMA_EVERY = 4  # steps
LOOK_EVERY = 16  # steps
WARM_UP = 200  # steps
CHECKPOINT_SECONDS = 240.0 if DEVICE.type == "cpu" else 45.0
REFRESH_SECONDS = 15.0
FIRST_PARTS = ("composed-0000", "composed-0001", "plain-0000", "plain-0001")  # to begin, and to measure with
Update = Callable[..., Tensor]


def build(size: str) -> UNet2DConditionModel:
    """Return an untrained denoiser: small (5.7 M parameters, 0.26 GFLOP a step) or large (12.4 M, 0.64)."""
    large = size == LARGE
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("CrossAttnDownBlock2D" if large else "DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D" if large else "UpBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        block_out_channels=(128, 192) if large else (96, 128),
        layers_per_block=1,
        attention_head_dim=32,
        cross_attention_dim=text.WIDTH,
        norm_num_groups=32,
        addition_embed_type="text",
        addition_embed_type_num_heads=6,
    )


@torch.no_grad()
def grow(shipped: UNet2DConditionModel, unet: UNet2DConditionModel) -> None:
    """Let `unet`, the same with more latent channels, draw what `shipped` draws; the new ones are silent."""
    narrow = shipped.state_dict()
    for name, parameter in unet.named_parameters():
        known = narrow[name]
        if known.shape != parameter.shape:
            parameter.zero_()
        parameter[tuple(slice(size) for size in known.shape)] = known


def schedule() -> DDIMScheduler:
    """Return the noise schedule, for training and for drawing."""
    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,  # unused with trailing spacing; the pipelines warn about 0
    )


class Samples:
    """Batches of (latents, text states), one canvas shape per batch, by sampling weight."""

    def __init__(self, work: Path, seed: int) -> None:
        self.work, self.rng = work, np.random.default_rng(seed)
        latents.wait_for(work, FIRST_PARTS)
        self.pool = latents.load(work, FIRST_PARTS, DEVICE)
        self.thread = ThreadPoolExecutor(1)
        self.coming: Future[latents.Pool] | None = None
        self.next_look = time.monotonic()

    def refresh(self) -> None:
        """Take in, now and then and in the background, what has been made since."""
        if self.coming is None and time.monotonic() >= self.next_look:
            new = latents.there(self.work)
            self.coming = self.thread.submit(latents.load, self.work, new, DEVICE, self.pool)
        elif self.coming is not None and self.coming.done():
            self.pool, self.coming = self.coming.result(), None
            self.next_look = time.monotonic() + REFRESH_SECONDS
            log.info("samples: %s", {name: len(each.counts) for name, each in self.pool.buckets.items()})

    def batch(self, size: int, canvas: str = "") -> tuple[Tensor, Tensor]:
        """Return `[size, C, h, w]` and `[size, LENGTH, WIDTH]` in 16 bits; of any canvas if none is named."""
        canvas = canvas or str(self.rng.choice(list(self.pool.buckets), p=self.pool.shares))
        return self.pool.batch(size, canvas, EMPTY_SHARE)


class Noiser:
    """The forward process and its velocity target (Salimans and Ho 2022)."""

    def __init__(self) -> None:
        cumulative = schedule().alphas_cumprod
        self.signal, self.noise = cumulative.sqrt().to(DEVICE), (1 - cumulative).sqrt().to(DEVICE)

    def steps(self, count: int, *, late: float = 1 - LATE) -> Tensor:
        """Return stratified, jittered timesteps, for a less noisy loss; a share of `late` lies past LATE."""
        spread = (torch.arange(count, device=DEVICE) + torch.rand(count, device=DEVICE)) / count
        early = spread / (1 - late) * LATE
        spread = torch.where(spread < 1 - late, early, 1 - (1 - spread) / late * (1 - LATE))
        return (spread * len(self.signal)).long().clamp(max=len(self.signal) - 1)  # 127 + 0.9999999 is 128

    def loss(
        self, unet: UNet2DConditionModel, clean: Tensor, words: Tensor, steps: Tensor, noise: Tensor
    ) -> Tensor:
        """Return the mean squared error of the predicted velocity; the network may compute in 16 bits."""
        signal, sigma = (part[steps][:, None, None, None] for part in (self.signal, self.noise))
        mixed = (signal * clean + sigma * noise).to(unet.dtype)
        made = unet(mixed, steps, words.to(unet.dtype), return_dict=False)[0]
        return F.mse_loss(made.float(), signal * noise - sigma * clean)


@dataclass
class TrainingProgress:
    """How far training has come, over all stretches."""

    step: int = 0
    seconds: float = 0.0
    pictures: int = 0
    size: str = SMALL


class Recorded:
    """One training step, recorded on the GPU and replayed: its thousand small kernels start at once."""

    def __init__(self, update: Update, batch: tuple[Tensor, ...]) -> None:
        self.inputs = [part.clone() for part in batch]
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):  # libraries choose their kernels
                update(*self.inputs)
        torch.cuda.current_stream().wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            self.loss = update(*self.inputs)

    def __call__(self, *batch: Tensor) -> Tensor:
        for mine, given in zip(self.inputs, batch, strict=True):
            mine.copy_(given)
        self.graph.replay()
        return self.loss


class Trainer:
    """One stretch of training under a wall-clock budget."""

    def __init__(self, work: Path, seed: int = 0) -> None:
        self.folder = work / "denoiser"
        self.progress = self._read_progress()
        self.peak = LEARNING_RATE * (YOUNG / max(YOUNG, self.progress.pictures)) ** 0.5
        torch.manual_seed(seed + self.progress.step)
        on_gpu = DEVICE.type == "cuda"
        order = torch.channels_last if on_gpu else torch.contiguous_format
        self.unet, self.ema = (build(self.progress.size).to(DEVICE, memory_format=order) for _ in "12")
        self.ema.requires_grad_(False)
        self.weights = list(self.unet.parameters())
        self.optimiser = torch.optim.AdamW(
            self.weights,
            lr=torch.tensor(LEARNING_RATE, device=DEVICE) if on_gpu else LEARNING_RATE,
            betas=(0.9, 0.99),
            weight_decay=0.01,
            fused=True,
            capturable=on_gpu,
        )
        self._restore()
        self.swift = self._swift()
        self.swift_weights = list(self.swift.parameters())
        self.size, self.recording, self.recorded = BATCH, on_gpu, dict[torch.Size, Update]()
        self.noiser = Noiser()
        self.samples = Samples(work, seed + self.progress.step)
        self.fixed = self._fixed_batches(seed)

    def _swift(self) -> UNet2DConditionModel:
        """Return the network that computes: a copy in 16 bits where the device has the type."""
        if not HAS_BFLOAT16:
            return self.unet
        swift = copy.deepcopy(self.unet).to(torch.bfloat16)
        if DEVICE.type == "cpu":
            swift.set_attn_processor(AttnProcessor())  # plain products are faster for maps this small
        return swift

    # --- the stretch ---

    def run(self, minutes: float, keep: Callable[[], object] = lambda: None) -> None:
        """Train, checkpoint now and then and at the end, and call `keep` after each checkpoint."""
        begun = saved = time.monotonic()
        first, total = self.progress.step, 0.0
        step = StepPace(self._step) if DEVICE.type == "cpu" else self._step
        if self.recording:  # before another thread makes use of the device
            self._set_rate(0.0, 0)
            for canvas in self.samples.pool.buckets:
                self._learn(self._batch(canvas))
        while (now := time.monotonic()) - begun < 60 * minutes:
            self._set_rate((now - begun) / (60 * minutes), self.progress.step - first)
            self.samples.refresh()
            loss = step()
            if self.progress.step % LOOK_EVERY == 0:  # reading it waits for the device
                total += 0.1 * (loss.item() - total) if total else loss.item()
            if now - saved > CHECKPOINT_SECONDS:
                self.progress.seconds += now - saved
                self.checkpoint(total)
                keep()
                saved = now
        self.progress.seconds += time.monotonic() - saved
        self.checkpoint(total)
        keep()

    def _step(self) -> Tensor:
        """Learn from one batch, and return its loss."""
        batch = self._batch()
        loss = self._learn(batch)
        self.progress.step += 1
        self.progress.pictures += len(batch[0])
        if self.progress.step % EMA_EVERY == 0:
            self._average()
        return loss

    def _batch(self, canvas: str = "") -> tuple[Tensor, ...]:
        clean, words = self.samples.batch(self.size, canvas)
        clean = clean.float()
        return clean, words, self.noiser.steps(len(clean), late=LATE_SHARE), torch.randn_like(clean)

    def _learn(self, batch: tuple[Tensor, ...]) -> Tensor:
        shape = batch[0].shape
        try:
            if self.recording and shape not in self.recorded:
                self.recorded[shape] = Recorded(self._update, batch)
            return self.recorded.get(shape, self._update)(*batch)
        except torch.OutOfMemoryError:
            if self.size == 1:
                raise
            self.size, self.recorded = self.size // 2, {}
            log.warning("out of memory: going on with %d pictures at a time", self.size)
        except RuntimeError:
            if not self.recording:
                raise
            self.recording, self.recorded = False, {}
            log.warning("steps cannot be recorded here", exc_info=True)
        self._forget_gradients()
        if DEVICE.type == "cuda":
            torch.cuda.empty_cache()
        return self._learn(tuple(part[: self.size] for part in batch))

    def _update(self, clean: Tensor, words: Tensor, steps: Tensor, noise: Tensor) -> Tensor:
        loss = self.noiser.loss(self.swift, clean, words, steps, noise)
        torch.autograd.backward(loss)
        if self.swift is not self.unet:
            for weight in self.weights:  # in the same order of memory, as the fused optimiser needs it
                weight.grad = torch.empty_like(weight)
            given = [weight.grad for weight in self.swift_weights]
            torch._foreach_copy_([weight.grad for weight in self.weights], given)
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimiser.step()
        if self.swift is not self.unet:
            with torch.no_grad():
                torch._foreach_copy_(self.swift_weights, self.weights)
        self._forget_gradients()
        return loss.detach()

    def _forget_gradients(self) -> None:
        for weight in (*self.weights, *self.swift_weights):
            weight.grad = None

    def _set_rate(self, done: float, steps: int) -> None:
        """Set a short warm-up, then a constant rate, then a cosine to the final rate over the last 70%."""
        late = max(0.0, (done - 0.3) / 0.7)
        fall = 0.5 * (1 + math.cos(math.pi * min(late, 1.0)))
        rate = FINAL_RATE + (self.peak - FINAL_RATE) * fall
        rate *= min(1.0, (steps + 1) / WARM_UP)
        for group in self.optimiser.param_groups:
            if isinstance(group["lr"], Tensor):  # a recorded step reads it where it lies
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    @torch.no_grad()
    def _average(self) -> None:
        """Update the moving average, which follows closely at first and slowly later."""
        decay = min(EMA_DECAY, (1 + self.progress.step) / (100 + self.progress.step)) ** EMA_EVERY
        torch._foreach_lerp_(list(self.ema.parameters()), list(self.unet.parameters()), 1 - decay)

    # --- measuring ---

    def _fixed_batches(self, seed: int) -> list[tuple[Tensor, ...]]:
        pool, rng = self.samples.pool, np.random.default_rng(seed)
        batches: list[tuple[Tensor, ...]] = []
        with torch.random.fork_rng():
            torch.manual_seed(seed + 999_983)
            for canvas in rng.choice(list(pool.buckets), 16, p=pool.shares):
                clean, words = pool.batch(VALIDATION_BATCH, str(canvas), EMPTY_SHARE)
                clean = clean.float()
                batches.append((clean, words, self.noiser.steps(len(clean)), torch.randn_like(clean)))
        return batches

    @torch.no_grad()
    def validation(self) -> float:
        """Return the loss of the moving average on fixed samples, timesteps and noise."""
        losses = [self.noiser.loss(self.ema, *batch).item() for batch in self.fixed]
        return sum(losses) / len(losses)

    # --- keeping ---

    def checkpoint(self, loss: float) -> None:
        """Write model, average, moments and progress; the old checkpoint stays until then."""
        row = {**asdict(self.progress), "loss": loss, "validation": self.validation()}
        log.info("denoiser %s", row)
        partial = self.folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, unet in (("model", self.unet), ("ema", self.ema)):
            dense = {key: value.contiguous() for key, value in unet.state_dict().items()}
            save_file(dense, partial / f"{name}.safetensors")
        save_file(self._moments(), partial / "moments.safetensors")
        (partial / "progress.json").write_text(json.dumps(asdict(self.progress)))
        shutil.rmtree(self.folder, ignore_errors=True)
        partial.rename(self.folder)
        with (self.folder.parent / "denoiser.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")

    def _moments(self) -> dict[str, Tensor]:
        return {
            f"{index}.{name}": value.contiguous()
            for index, state in self.optimiser.state_dict()["state"].items()
            for name, value in state.items()
        }

    def _read_progress(self) -> TrainingProgress:
        """Return the checkpoint's progress, else that of shipped weights of the wanted size, else none."""
        for folder in (self.folder, PIPELINE):
            if (path := folder / "progress.json").exists():
                progress = TrainingProgress(**json.loads(path.read_text()))
                if folder is self.folder or progress.size == SIZE:
                    return progress
        return TrainingProgress(size=SIZE)

    def _restore(self) -> None:
        if (self.folder / "progress.json").exists():
            self.unet.load_state_dict(load_file(self.folder / "model.safetensors"))
            self.ema.load_state_dict(load_file(self.folder / "ema.safetensors"))
            if (moments := self.folder / "moments.safetensors").exists():  # results that came home have none
                self._restore_moments(load_file(moments))
        elif self.progress.step:
            shipped = UNet2DConditionModel.from_pretrained(PIPELINE / "unet", torch_dtype=torch.float32)
            grow(shipped, self.unet)
            self.ema.load_state_dict(self.unet.state_dict())
        else:
            self.ema.load_state_dict(self.unet.state_dict())

    def _restore_moments(self, moments: dict[str, Tensor]) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in moments.items():
            index, name = key.split(".", 1)
            weight = self.weights[int(index)]
            placed = torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value
            state.setdefault(int(index), {})[name] = placed.detach()
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})
