"""The denoiser: a small UNet on 8x8 latents, v-prediction, cosine schedule, zero terminal SNR.

Samples come from the cached latents and text states, so that a step is nothing but the network.
Checkpoints are safetensors written every few minutes; training goes on from the newest one, and
with none from the weights that ship in the pipeline folder.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import time
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
from engine.embedded.training.pace import DEVICE, HAS_BFLOAT16, Pace

log = logging.getLogger(__name__)

BATCH = 128 if DEVICE.type == "cpu" else 2048
VALIDATION_BATCH = 16
LEARNING_RATE = 1.5e-3
YOUNG = 1_000_000  # pictures; past them a stretch begins more gently, so as not to unlearn what is known
FINAL_RATE = 3e-5  # reached at the end of the wall-clock budget
LATE = 0.9  # of the schedule: from there on next to nothing of the picture is left in the noise
LATE_SHARE = 0.3  # samples from there on: that is where a ground is invented from words alone
EMPTY_SHARE = 0.1  # samples that train the empty prompt, for classifier-free guidance
EMA_DECAY = 0.999
EMA_EVERY = 4  # steps
CHECKPOINT_SECONDS = 240.0


def build() -> UNet2DConditionModel:
    """A fresh denoiser (5.6 M parameters)."""
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        block_out_channels=(96, 128),
        layers_per_block=1,
        attention_head_dim=32,
        cross_attention_dim=text.WIDTH,
        norm_num_groups=32,
        addition_embed_type="text",
        addition_embed_type_num_heads=6,
    )


@torch.no_grad()
def grow(shipped: UNet2DConditionModel, unet: UNet2DConditionModel) -> None:
    """Let `unet` draw what `shipped` draws: what only it has, channels or whole parts, is silent at first."""
    narrow = shipped.state_dict()
    for name, parameter in unet.named_parameters():
        if name in narrow:
            known = narrow[name]
            if known.shape != parameter.shape:
                parameter.zero_()
            parameter[tuple(slice(size) for size in known.shape)] = known
        elif name.endswith(("proj_out.weight", "proj_out.bias")):
            parameter.zero_()


def schedule() -> DDIMScheduler:
    """The noise schedule, for training and for drawing."""
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

    def __init__(self, work: Path, rng: np.random.Generator) -> None:
        self.work, self.rng = work, rng
        self.shards = 0
        self.refresh()

    def refresh(self) -> None:
        """Take in what has been encoded since the last look."""
        if (shards := text.count(self.work)) == self.shards:
            return
        self.shards = shards
        numbers, states = text.load(self.work)
        self.states = torch.from_numpy(states).to(DEVICE)
        self.empty = numbers[""]
        self.buckets = latents.load(self.work, numbers)
        self.latents = [torch.from_numpy(bucket.latents).to(DEVICE) for bucket in self.buckets]
        weights = np.array([bucket.weight for bucket in self.buckets])
        self.shares = weights / weights.sum()

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """`float32[size, C, h, w]` and `float32[size, LENGTH, WIDTH]`."""
        canvas = self.rng.choice(len(self.buckets), p=self.shares)
        bucket = self.buckets[canvas]
        rows = np.searchsorted(bucket.cumulative, self.rng.random(size) * bucket.weight)
        words = bucket.texts[rows, self.rng.integers(bucket.counts[rows])]
        words[self.rng.random(size) < EMPTY_SHARE] = self.empty
        chosen, said = (torch.from_numpy(numbers).to(DEVICE) for numbers in (rows, words))
        return self.latents[canvas][chosen].float(), self.states[said].float()


class Noiser:
    """The forward process and its velocity target (Salimans and Ho 2022)."""

    def __init__(self) -> None:
        cumulative = schedule().alphas_cumprod
        self.signal, self.noise = cumulative.sqrt().to(DEVICE), (1 - cumulative).sqrt().to(DEVICE)

    def steps(
        self, count: int, generator: torch.Generator | None = None, *, late: float = 1 - LATE
    ) -> Tensor:
        """Stratified timesteps, jittered, so less noisy; a share of `late` lies past LATE."""
        spread = (torch.arange(count) + torch.rand(count, generator=generator)) / count
        early = spread / (1 - late) * LATE
        spread = torch.where(spread < 1 - late, early, 1 - (1 - spread) / late * (1 - LATE))
        return (
            (spread * len(self.signal)).long().clamp(max=len(self.signal) - 1).to(DEVICE)
        )  # 127 + 0.9999999 is 128

    def loss(
        self, unet: UNet2DConditionModel, clean: Tensor, words: Tensor, steps: Tensor, noise: Tensor
    ) -> Tensor:
        """Mean squared error of the predicted velocity."""
        signal, sigma = (part[steps][:, None, None, None] for part in (self.signal, self.noise))
        made = unet(signal * clean + sigma * noise, steps, words, return_dict=False)[0]
        return F.mse_loss(made, signal * noise - sigma * clean)


@dataclass
class Progress:
    """How far training has come, over all stretches."""

    step: int = 0
    seconds: float = 0.0
    pictures: int = 0


class Trainer:
    """One stretch of training under a wall-clock budget."""

    def __init__(self, work: Path, seed: int = 0) -> None:
        self.folder = work / "denoiser"
        self.progress = self._read_progress()
        self.peak = LEARNING_RATE * (YOUNG / max(YOUNG, self.progress.pictures)) ** 0.5
        torch.manual_seed(seed + self.progress.step)
        self.unet, self.ema = build().to(DEVICE), build().to(DEVICE).requires_grad_(False)
        if DEVICE.type == "cpu":  # plain products are faster than fused attention for maps this small
            self.unet.set_attn_processor(AttnProcessor())
        self.optimiser = torch.optim.AdamW(
            self.unet.parameters(),
            lr=LEARNING_RATE,
            betas=(0.9, 0.99),
            weight_decay=0.01,
            fused=True,
        )
        self._restore()
        self.noiser = Noiser()
        self.samples = Samples(work, np.random.default_rng(seed + self.progress.step))
        self.fixed = self._fixed_batches(work, seed)

    # --- the stretch ---

    def run(self, minutes: float) -> None:
        """Train, checkpoint every few minutes, and once more at the end."""
        begun = saved = time.monotonic()
        first, total = self.progress.step, 0.0
        step = Pace(self._step)
        while (now := time.monotonic()) - begun < 60 * minutes:
            self._set_rate((now - begun) / (60 * minutes), self.progress.step - first)
            total = 0.99 * total + 0.01 * step()
            if now - saved > CHECKPOINT_SECONDS:
                self.progress.seconds += now - saved
                self.checkpoint(total)
                saved = time.monotonic()
        self.progress.seconds += time.monotonic() - saved
        self.checkpoint(total)

    def _step(self) -> float:
        clean, words = self.samples.batch(BATCH)
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=HAS_BFLOAT16):
            loss = self.noiser.loss(
                self.unet,
                clean,
                words,
                self.noiser.steps(len(clean), late=LATE_SHARE),
                torch.randn_like(clean),
            )
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.unet.parameters(), 1.0)
        self.optimiser.step()
        self.progress.step += 1
        self.progress.pictures += len(clean)
        if self.progress.step % EMA_EVERY == 0:
            self._average()
        return loss.item()

    def _set_rate(self, done: float, steps: int) -> None:
        """Short warm-up, then constant, then a cosine to the final rate over the last 70%."""
        late = max(0.0, (done - 0.3) / 0.7)
        fall = 0.5 * (1 + math.cos(math.pi * min(late, 1.0)))
        rate = FINAL_RATE + (self.peak - FINAL_RATE) * fall
        for group in self.optimiser.param_groups:
            group["lr"] = rate * min(1.0, (steps + 1) / 200)

    @torch.no_grad()
    def _average(self) -> None:
        """The moving average follows closely at first and slowly later."""
        decay = min(EMA_DECAY, (1 + self.progress.step) / (100 + self.progress.step)) ** EMA_EVERY
        torch._foreach_lerp_(list(self.ema.parameters()), list(self.unet.parameters()), 1 - decay)

    # --- measuring ---

    def _fixed_batches(self, work: Path, seed: int) -> list[tuple[Tensor, ...]]:
        samples = Samples(work, np.random.default_rng(seed + 999_983))
        generator = torch.Generator().manual_seed(seed + 999_983)
        batches: list[tuple[Tensor, ...]] = []
        for _ in range(16):
            clean, words = samples.batch(VALIDATION_BATCH)
            noise = torch.randn(clean.shape, generator=generator).to(DEVICE)
            batches.append((clean, words, self.noiser.steps(VALIDATION_BATCH, generator), noise))
        return batches

    @torch.no_grad()
    def validation(self) -> float:
        """Loss of the moving average on fixed samples, timesteps and noise."""
        losses = [self.noiser.loss(self.ema, *batch).item() for batch in self.fixed]
        return sum(losses) / len(losses)

    # --- keeping ---

    def checkpoint(self, loss: float) -> None:
        """Write model, average, moments and progress; the old checkpoint stays until then."""
        row = {**asdict(self.progress), "loss": loss, "validation": self.validation()}
        log.info("denoiser %s", row)
        self.samples.refresh()
        partial = self.folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_file(self.unet.state_dict(), partial / "model.safetensors")
        save_file(self.ema.state_dict(), partial / "ema.safetensors")
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

    def _read_progress(self) -> Progress:
        path = self.folder / "progress.json"
        if not path.exists():
            path = PIPELINE / "progress.json"
        return Progress(**json.loads(path.read_text())) if path.exists() else Progress()

    def _restore(self) -> None:
        if (self.folder / "progress.json").exists():
            self.unet.load_state_dict(load_file(self.folder / "model.safetensors"))
            self.ema.load_state_dict(load_file(self.folder / "ema.safetensors"))
            self._restore_moments(load_file(self.folder / "moments.safetensors"))
        elif self.progress.step and (PIPELINE / "unet").exists():
            shipped = UNet2DConditionModel.from_pretrained(PIPELINE / "unet", torch_dtype=torch.float32)
            grow(shipped, self.unet)
            self.ema.load_state_dict(self.unet.state_dict())
        else:
            self.ema.load_state_dict(self.unet.state_dict())

    def _restore_moments(self, moments: dict[str, Tensor]) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in moments.items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})
