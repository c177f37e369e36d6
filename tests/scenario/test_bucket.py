"""The whole way with pictures in a bucket: a prompt, a variation of it, an enlargement."""

from __future__ import annotations

import pytest

from bot.images.blobs.s3 import S3Blobs
from tests.s3 import KEYS, make_bucket, s3_server
from tests.scenario.conftest import Opens, button


async def test_pictures_are_kept_varied_and_enlarged_in_a_bucket(opened: Opens) -> None:
    with s3_server() as server:
        make_bucket(server, "studio")
        async with opened(pictures_url="s3://studio/easel", s3_endpoint=server, **KEYS) as house:
            assert isinstance(house.blobs, S3Blobs)
            job = await house.painted("a red fox")
            for label, end in (("V1 subtle", "done"), ("U1", "upscaled")):
                receipt = await house.press(button(house.surface.messages[job.id][-1], label))
                await house.surface.until(receipt.job.id, end)
                child = await house.row(receipt.job.id)
                assert all([(await house.image(each.blob)).size > (1, 1) for each in child.pictures])
            assert not (house.settings.data_dir / "pictures").exists()
            with pytest.raises(KeyError):
                await house.easel.images.get("0" * 64 + ".png")
