"""A process that is connected to a test's Slack until it is killed: `… victim <folder> <url> <failpoint>`.

The failpoint is one of `tests.scenario.victim`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.contract.slack.house import rooms
from tests.scenario.victim import arm


async def main(folder: str, url: str, failpoint: str) -> None:
    async with rooms(Path(folder), None, base_url=f"{url}/api/") as house:
        arm(house.store, failpoint)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
