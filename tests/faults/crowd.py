"""One of several processes that ask for jobs at once: `python -m tests.faults.crowd <url> <number> <plan>`.

It waits for a line on standard input, so that all begin together, and ends with what it was told.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from bot.models import Allowance, Budget, Tier
from bot.store import OverQuota, Store
from tests.examples import a_job, a_tier

AT_ONCE = 64  # requests that one process has under way


@dataclass(frozen=True)
class Plan:
    """Who asks how often for jobs of one device-second each, and what is allowed."""

    people: int
    requests: int  # of each person, spread over the processes
    processes: int
    each: int  # device-seconds a person may use
    houses: int  # the first people live in so many houses
    house_people: int
    house: int  # device-seconds a house may use

    @property
    def tier(self) -> Tier:
        # Rolling, so that midnight does not give anybody more.
        return a_tier(allowances=(Allowance(seconds=self.each, per="month", rolling=True),))

    def budgets(self, person: int) -> list[Budget]:
        if (number := person // self.house_people) >= self.houses:
            return []
        allowance = Allowance(seconds=self.house, per="month", rolling=True)
        return [Budget(account=f"budget:{number}", name=f"House {number}", allowance=allowance)]

    @property
    def expected(self) -> int:
        """Jobs that are to be admitted: houses use up their budgets, the others their allowances."""
        return self.houses * self.house + (self.people - self.houses * self.house_people) * self.each

    def asked_by(self, process: int) -> list[int]:
        """The person of each request that a process makes, in a random order."""
        people = [person for person in range(self.people) for _ in range(self.requests)]
        mine = people[process :: self.processes]
        random.Random(process).shuffle(mine)
        return mine


async def ask(store: Store, plan: Plan, people: list[int]) -> Counter[str]:
    """Ask for everybody, so many at a time; how often which answer came."""
    waiting, answers = iter(people), Counter[str]()

    async def serve() -> None:
        for person in waiting:
            job = a_job(user=f"p{person}", estimate=1.0)
            try:
                await store.admit(job, tier=plan.tier, budgets=plan.budgets(person))
                answers["admitted"] += 1
            except OverQuota:
                answers["refused"] += 1

    await asyncio.gather(*(serve() for _ in range(AT_ONCE)))
    return answers


async def main(url: str, number: int, plan: dict[str, Any]) -> None:
    store = await Store.open(url, shared=True)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    made = Plan(**plan)
    answers = await ask(store, made, made.asked_by(number))
    await store.close()
    sys.stdout.write(json.dumps(answers))


def arguments(url: str, number: int, plan: Plan) -> list[str]:
    return [sys.executable, "-m", "tests.faults.crowd", url, str(number), json.dumps(asdict(plan))]


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])))
