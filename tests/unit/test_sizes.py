"""The sizes of a pack as the worker makes them: of the one picture that is painted, and for nothing."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from engine.types import EngineJob, Failed, Finished, GenerationRequest, Letter, NamedSize, Picture
from engine.workers.process import ProcessEngine

SIZES = (
    NamedSize(name="banner", width=600, height=200),
    NamedSize(name="story", width=540, height=960),
    NamedSize(name="icon", width=64, height=64, format="png"),
)
REQUEST = GenerationRequest(
    prompt="a red heart", seed=7, count=1, width=256, height=256, steps=2, pack="own", sizes=SIZES
)


async def pictures(
    engine: ProcessEngine, job: str, request: GenerationRequest
) -> tuple[list[Picture], float]:
    engine.submit(EngineJob(id=job, request=request, tenant="t", user="u"))
    found: list[Picture] = []
    async for event in engine.events():
        assert not isinstance(event, Failed), event
        if isinstance(event, Picture):
            found.append(event)
        if isinstance(event, Finished):
            return sorted(found, key=lambda each: each.index), event.device_seconds
    raise AssertionError("the engine has ended")


def opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGB")


async def test_a_worker_makes_all_sizes_of_the_one_picture_that_it_paints() -> None:
    kept: dict[str, bytes] = {}
    engine = ProcessEngine(models=["easel-tiny"], device="cpu", read=kept.__getitem__)
    await engine.start()
    try:
        painted, _seconds = await pictures(engine, "1", REQUEST)
        kept["source"] = painted[0].png
        lettered = Letter(sources=("source",))
        request = GenerationRequest(
            prompt="a red heart", seed=7, count=1, width=256, height=256, pack="own", sizes=SIZES,
            lettering="SALE", task=lettered,
        )  # fmt: skip
        made, cost = await pictures(engine, "2", request)
    finally:
        await engine.close()

    assert [each.index for each in painted] == [0, 1, 2, 3]
    assert [(each.width, each.height) for each in painted[1:]] == [(600, 200), (540, 960), (64, 64)]
    assert [opened(each.png).size for each in painted[1:]] == [(600, 200), (540, 960), (64, 64)]
    assert {each.seed for each in painted} == {7}
    assert [opened(each.png).size for each in made] == [(256, 256), (600, 200), (540, 960), (64, 64)]
    assert engine.estimate(request) == 0 and cost < 1
    for one, other in zip(painted[:3], made[:3], strict=True):  # 64 pixels have room for no words
        plain = np.asarray(opened(other.plain), np.int16)
        assert np.abs(plain - np.asarray(opened(one.png), np.int16)).max() <= 1
        assert other.plain != other.png
