"""A process that forgets Ada and is killed on the way: `… forgetting <folder> <step> <when>`.

The step is a method of the store, and the moment before or after its first call.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from bot import app
from bot.accounts import privacy
from bot.images.blobs import DirectoryBlobs
from bot.models import Origin
from bot.moderation import NullClassifier
from bot.store import Store
from bot.surfaces import Settings
from engine.workers.fake import FakeEngine
from tests.examples import unhurried
from tests.scenario.conftest import ADA, SMALL, RecordingAdapter
from tests.scenario.victim import arm


async def main(folder: Path, step: str, when: str) -> None:
    store = await Store.open(f"sqlite:///{folder}/easel.db")
    settings = Settings(data_dir=folder, model=("memory",))
    blobs = DirectoryBlobs(folder / "pictures")
    engine = FakeEngine(blobs.read, models=(SMALL,))
    easel = app.build(
        settings=settings,
        store=store,
        engine=engine,
        blobs=blobs,
        classifier=NullClassifier(),
        tiers=unhurried(),
    )
    easel.adapters["test"] = RecordingAdapter()
    # Only the press is to meet the failpoint.
    easel.lifecycle._keep_clean = lambda: asyncio.sleep(0)  # type: ignore[method-assign]
    await easel.lifecycle.start()
    arm(store, f"{when}:{step}:1")
    origin = Origin(surface="test", member=ADA, channel="lobby", event="last")
    await easel.router.press(f"v1:forget:{privacy.token(origin)}", origin)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
