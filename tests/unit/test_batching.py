"""Joining calls changes no picture, whoever joins, leaves, fails or is pre-empted meanwhile."""

from __future__ import annotations

import itertools
import random
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    LCMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
)
from diffusers.guiders import ClassifierFreeGuidance
from PIL import Image

from engine import weights
from engine.errors import Cancelled
from engine.families import family_of
from engine.pipelines import long_prompts
from engine.pipelines import run as pipelines
from engine.pipelines.batching import InterceptionPoint, Request, run_joined
from tests.families import FAMILIES, Family, noise, sdxl_with_words, unet

EXACT = 1e-4  # per pixel, of 0 … 1


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """As in the worker: no gradients anywhere, and few threads so that tests do not disturb each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)


class Hub:
    """A worker's loop without its queue: whoever `choose` says steps next."""

    def __init__(self, pipe: Any) -> None:
        self.points: list[InterceptionPoint] = pipelines.points_of(pipe)
        self.live: list[Request] = []
        self.widest = 0
        self.passes = 0

    def start(self, run: Callable[[], Any]) -> Request:
        request = Request(run)
        request.resume()
        self.live += [request] if not request.ended else []
        return request

    def tick(self, choose: Callable[[list[Request]], list[Request]] = list) -> None:
        leader = random.choice(self.live)
        assert leader.call is not None
        group = [r for r in self.live if r.call is not None and r.call.key == leader.call.key]
        batch = choose(group) or group[:1]
        self.widest, self.passes = max(self.widest, len(batch)), self.passes + 1
        for request, result in zip(batch, run_joined(batch), strict=True):
            (request.fail_call if isinstance(result, Exception) else request.resume)(result)
        self.live = [request for request in self.live if not request.ended]

    def finish(self, choose: Callable[[list[Request]], list[Request]] = list) -> None:
        while self.live:
            self.tick(choose)

    def close(self) -> None:
        for point in self.points:
            point.restore()


def private(pipe: Any, seed: int) -> tuple[Any, torch.Generator]:
    generator = torch.Generator().manual_seed(seed)
    pipe = pipelines.private_copy(pipe)
    pipelines._seeded(pipe, generator, seed)
    return pipe, generator


def call(family: Family, seed: int, steps: int = 5, **more: Any) -> Callable[[], torch.Tensor]:
    """Request `seed`: its own prompt, number of steps and guidance."""

    def run() -> torch.Tensor:
        pipe, generator = private(family.pipe, seed)
        options = {"guidance_scale": 2.0 + seed, **family.options(seed), "num_inference_steps": steps} | more
        if "true_cfg_scale" in options:  # Qwen-Image's guidance
            del options["guidance_scale"]
        images: torch.Tensor = pipe(**options, generator=generator, output_type="pt").images
        return images

    return run


class Inner(DiffusionPipeline):
    def __init__(self, unet: Any, scheduler: Any) -> None:
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)


class Combined(DiffusionPipeline):
    """A pipeline with a guider, around another pipeline with a scheduler."""

    def __init__(self, unet: Any, scheduler: Any, guider: Any) -> None:
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler, guider=guider)
        self.inner = Inner(unet, DPMSolverMultistepScheduler())

    def __call__(self, seed: int, steps: int) -> torch.Tensor:
        latents, scheduler = noise(seed, 1, 4, 8, 8), self.inner.scheduler
        scheduler.set_timesteps(steps)
        for step, time in enumerate(scheduler.timesteps):
            self.guider.set_state(step=step, num_inference_steps=steps, timestep=time)
            guess = self.inner.unet(latents, time, encoder_hidden_states=noise(seed, 1, 3, 32)).sample
            assert (self.guider._step, self.guider._num_inference_steps) == (step, steps)
            latents = scheduler.step(guess, time, latents).prev_sample
        return latents


def difference(requests: list[Request], alone: list[torch.Tensor]) -> float:
    for request in requests:
        assert request.error is None, request.error
    return max(float((r.result - a).abs().max()) for r, a in zip(requests, alone, strict=True))


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path: Path) -> Family:
    made = FAMILIES[request.param](tmp_path)
    made.pipe.set_progress_bar_config(disable=True)
    return made


def test_joined_equals_alone_with_late_joiners_and_preemption(family: Family) -> None:
    random.seed(1)
    calls = [call(family, seed, steps=4 + seed) for seed in range(5)]
    alone = [run() for run in calls]
    hub = Hub(family.pipe)
    requests = []
    for run in calls:
        requests.append(hub.start(run))
        hub.tick()

    hub.finish(lambda group: [r for r in group if random.random() > 0.3])

    assert difference(requests, alone) <= EXACT
    assert hub.widest > 1, "nothing was ever joined"
    hub.close()


def test_a_cancelled_request_leaves_the_others_exact(family: Family) -> None:
    alone = [call(family, seed)() for seed in (1, 2)]
    hub = Hub(family.pipe)
    kept = [hub.start(call(family, seed)) for seed in (1, 2)]
    cancelled = hub.start(call(family, 4, steps=50))
    for _ in range(3):
        hub.tick()

    cancelled.fail_call(Cancelled())
    hub.live = [request for request in hub.live if not request.ended]
    hub.finish()

    assert isinstance(cancelled.error, Cancelled)
    assert difference(kept, alone) <= EXACT
    hub.close()


@pytest.mark.parametrize(
    "scheduler",
    [DDIMScheduler, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler, LCMScheduler],
)
def test_every_kind_of_scheduler_is_exact_and_seeded(scheduler: Any, tmp_path: Path) -> None:
    family = FAMILIES["sd"](tmp_path)
    family.pipe.set_progress_bar_config(disable=True)
    family.pipe.scheduler = scheduler.from_config(family.pipe.scheduler.config)
    alone = [call(family, seed)() for seed in range(3)]
    hub = Hub(family.pipe)

    requests = [hub.start(call(family, seed)) for seed in range(3)]
    hub.finish()

    assert difference(requests, alone) <= EXACT
    hub.close()


def test_text_image_and_inpainting_share_forward_passes(tmp_path: Path) -> None:
    family = FAMILIES["sd"](tmp_path)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8))
    mask = Image.fromarray((np.arange(1024).reshape(32, 32) % 2 * 255).astype(np.uint8))
    image_to_image = StableDiffusionImg2ImgPipeline(**family.pipe.components, requires_safety_checker=False)
    inpaint = StableDiffusionInpaintPipeline(**family.pipe.components, requires_safety_checker=False)

    def edit(pipe: Any, seed: int, **options: Any) -> Callable[[], torch.Tensor]:
        pipe.set_progress_bar_config(disable=True)

        def run() -> torch.Tensor:
            own, generator = private(pipe, seed)
            more = {"prompt": f"p{seed}", "num_inference_steps": 8, "generator": generator}
            images: torch.Tensor = own(**more, **options, image=picture, output_type="pt").images
            return images

        return run

    calls = [
        call(family, 1),
        edit(image_to_image, 2, strength=0.6),
        edit(inpaint, 3, mask_image=mask, width=32, height=32),
    ]
    alone = [run() for run in calls]
    hub = Hub(family.pipe)

    requests = [hub.start(run) for run in calls]
    hub.finish()

    assert difference(requests, alone) <= EXACT
    assert hub.widest == 3
    hub.close()


def test_equal_prompts_are_encoded_once(tmp_path: Path) -> None:
    family = FAMILIES["sd"](tmp_path)
    rows: list[int] = []
    encode = family.pipe.text_encoder.forward

    def counted(input_ids: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        rows.append(len(input_ids))
        return encode(input_ids, *args, **kwargs)

    family.pipe.text_encoder.forward = counted
    hub = Hub(family.pipe)

    requests = [hub.start(call(family, 7)) for _ in range(4)]
    hub.tick()

    assert rows == [1]
    for request in requests:
        request.fail_call(Cancelled())
    hub.close()


@pytest.mark.parametrize("make", [FAMILIES["sd"], sdxl_with_words])
def test_weighted_prompts_join_and_change_the_picture(make: Callable[[Path], Family], tmp_path: Path) -> None:
    family = make(tmp_path)
    family.pipe.set_progress_bar_config(disable=True)
    known = family_of(type(family.pipe).__name__)

    def weighted(prompt: str) -> Callable[[], torch.Tensor]:
        def run() -> torch.Tensor:
            weighed = long_prompts.arguments(known, family.pipe, weights.read(prompt), "bad")
            return call(family, 1, **{"prompt": prompt} | weighed)()

        return run

    prompts = ("fox::2 snow::1", "fox::1 snow::2", "a (red:1.5) fox", "a [red] fox", "fox", "a red fox")
    calls = [weighted(prompt) for prompt in prompts]
    alone = [run() for run in calls]
    hub = Hub(family.pipe)
    requests = [hub.start(run) for run in calls]
    hub.finish()

    assert difference(requests, alone) <= EXACT
    assert hub.widest > 1, "nothing was ever joined"
    for one, other in itertools.combinations(alone, 2):
        assert float((one - other).abs().max()) > 10 * EXACT
    plain = call(family, 1, prompt="fox")()
    assert float((alone[4] - plain).abs().max()) <= EXACT  # one text is the stock call


def test_one_bad_request_does_not_spoil_its_batch(tmp_path: Path) -> None:
    family = FAMILIES["sd"](tmp_path)
    family.pipe.set_progress_bar_config(disable=True)
    real = family.pipe.unet.forward

    def forward(sample: torch.Tensor, timestep: torch.Tensor, **kwargs: Any) -> Any:
        if float(sample.abs().max()) > 1e5:
            raise RuntimeError("this row is rotten")
        return real(sample, timestep, **kwargs)

    family.pipe.unet.forward = forward
    alone = [call(family, seed)() for seed in (1, 2)]
    hub = Hub(family.pipe)

    good = [hub.start(call(family, seed)) for seed in (1, 2)]
    bad = hub.start(call(family, 3, latents=torch.full((1, 4, 16, 16), 1e6)))
    hub.finish()

    assert "rotten" in str(bad.error)
    assert difference(good, alone) <= EXACT
    hub.close()


def test_points_put_back_what_they_found(tmp_path: Path) -> None:
    pipe = FAMILIES["sd"](tmp_path).pipe
    before = pipe.unet.forward
    points = pipelines.points_of(pipe)
    assert pipe.unet.forward is not before

    for point in points:
        point.restore()

    assert pipe.unet.forward == before


def test_a_pass_that_ran_out_of_memory_is_let_go_before_the_next_try(tmp_path: Path) -> None:
    family = FAMILIES["sd"](tmp_path)
    family.pipe.set_progress_bar_config(disable=True)
    real, alive = family.pipe.unet.forward, []

    class Activations:
        pass

    def forward(sample: torch.Tensor, timestep: torch.Tensor, **kwargs: Any) -> Any:
        if len(sample) > 2:
            activations = Activations()
            alive.append(weakref.ref(activations))
            raise torch.OutOfMemoryError("too much at once")
        assert all(ref() is None for ref in alive)
        return real(sample, timestep, **kwargs)

    family.pipe.unet.forward = forward
    alone = [call(family, seed)() for seed in (1, 2)]
    hub = Hub(family.pipe)

    requests = [hub.start(call(family, seed)) for seed in (1, 2)]
    hub.finish()

    assert alive
    assert difference(requests, alone) <= EXACT
    hub.close()


def test_guiders_and_the_schedulers_of_inner_pipelines_keep_their_requests_apart() -> None:
    pipe = Combined(unet(), DDIMScheduler(), ClassifierFreeGuidance())
    alone = [pipelines.private_copy(pipe)(seed, 4 + seed) for seed in range(3)]
    hub = Hub(pipe)

    requests = [
        hub.start(lambda seed=seed: pipelines.private_copy(pipe)(seed, 4 + seed)) for seed in range(3)
    ]
    hub.finish(lambda group: group[:1])

    assert difference(requests, alone) <= EXACT
    assert pipelines.private_copy(pipe).inner.unet is pipe.unet
    hub.close()
