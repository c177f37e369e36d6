"""Mutations of the engine that its tests must notice: path, what stands there once, what instead, the tests.

Not among them, since nothing can tell: `forget_idle` and `_forget` only free memory, and `LEVEL` is less than
any two costs differ by.
"""

from __future__ import annotations

APART = "tests/unit/test_apart.py"
CHARGES = "tests/unit/test_charges.py"
COSTS = "tests/unit/test_costs.py"
DISPATCHER = "tests/unit/test_dispatcher.py"
FITNESS = "tests/unit/test_fitness.py"
QUEUE = "tests/unit/test_fair_queue.py"
VITALS = "tests/unit/test_vitals.py"

MUTATIONS: list[tuple[str, str, str, str]] = [
    # --- faults: who is blamed, who goes out, who is counted
    ("engine/dispatcher.py", "deaths=job.deaths + (job.id in suspects)", "deaths=job.deaths + 1", FITNESS),
    (
        "engine/dispatcher.py",
        "desk.suspects or frozenset(desk.begun)",
        "frozenset(desk.suspects)",
        FITNESS,
    ),
    ("engine/dispatcher.py", "or frozenset(desk.begun)", "or frozenset(desk.residents)", FITNESS),
    ("engine/dispatcher.py", "if desk.condemned:  # it was not", "if False:  # it was not", FITNESS),
    ("engine/dispatcher.py", "sum(desk.ready for desk in self._desks)", "len(self._desks)", FITNESS),
    (
        "engine/dispatcher.py",
        "            self._count_devices()\n            await worker.close()",
        "            await worker.close()",
        FITNESS,
    ),
    ("engine/dispatcher.py", "and event.error.of_engine\n        if broken", "\n        if broken", FITNESS),
    ("engine/dispatcher.py", "if broken and desk.fitness.failed():", "if False:", FITNESS),
    ("engine/dispatcher.py", "return (not_loaded or len(tried) < TRIES) and any(", "return any(", FITNESS),
    (
        "engine/dispatcher.py",
        "if broken and self._goes_elsewhere(",
        "if False and self._goes_elsewhere(",
        FITNESS,
    ),
    ("engine/dispatcher.py", "desk.fitness.unable.add(job.request.model)", "pass", FITNESS),
    ("engine/dispatcher.py", "elif desk.fitness.replaced:", "elif False:", FITNESS),
    ("engine/dispatcher.py", "if error is not None and len(models) == 1:", "if error is not None:", FITNESS),
    (
        "engine/dispatcher.py",
        "if desk.condemned:\n                        break",
        "if False:\n                        break",
        FITNESS,
    ),
    ("engine/dispatcher.py", "desk.pause = OUT_SECONDS", "desk.pause = 0.0", FITNESS),
    ("engine/dispatcher.py", "in_service and desk not in tried and", "in_service and", FITNESS),
    ("engine/dispatcher.py", "self._failed_on.pop(event.job, None)", "pass", FITNESS),
    ("engine/dispatcher.py", "if not able:  # let one say why", "if not here:  # let one say why", FITNESS),
    ("engine/dispatcher.py", "if model.name == fitness.proven]", "if False]", FITNESS),
    ("engine/dispatcher.py", "self._clock() - self._moved", "0.0", FITNESS),
    ("engine/dispatcher.py", "if not self._has_work:\n", "if False:\n", FITNESS),
    ("engine/dispatcher.py", "if job.deaths >= DEATHS:", "if job.deaths > DEATHS:", FITNESS),
    ("engine/dispatcher.py", "    if unwanted:", "    if False:", DISPATCHER),
    (
        "engine/dispatcher.py",
        "self._queue.put(job, first=True)\n            if held:",
        "self._queue.put(job)\n            if held:",
        DISPATCHER,
    ),
    ("engine/dispatcher.py", "return min(here, key=Desk.load", "return max(here, key=Desk.load", DISPATCHER),
    ("engine/fitness.py", "self.failures >= FAILURES and", "self.failures > FAILURES and", FITNESS),
    (
        "engine/fitness.py",
        "self.failures, self.replaced, self.proven = 0, False, model",
        "self.replaced, self.proven = False, model",
        FITNESS,
    ),
    ("engine/fitness.py", "if self.replaced:\n", "if True:\n", FITNESS),
    (
        "engine/fitness.py",
        'self.trying, self.failures, self.out = False, 0, ""',
        "self.trying, self.failures = False, 0",
        FITNESS,
    ),
    ("engine/errors.py", "of_engine = True", "of_engine = False", FITNESS),
    (
        "engine/local.py",
        "if beats == self._beats else 0",
        "if beats == self._beats else self._missed",
        VITALS,
    ),
    ("engine/local.py", "self._missed = self._missed + 1 if", "self._missed = self._missed if", VITALS),
    (
        "engine/local.py",
        "if activity is None and sent != self._vitals.taken",
        "if sent != self._vitals.taken",
        VITALS,
    ),
    ("engine/local.py", "(SILENT_BEATS if activity is None else BUSY_SILENT_BEATS)", "SILENT_BEATS", VITALS),
    ("engine/vitals.py", "time.monotonic() > self.began + self.limit", "False", VITALS),
    # --- charges: in the worker, in the order of steps, in the queue
    ("engine/worker.py", "self._turns.charge(batch, seconds)", "pass", CHARGES),
    ("engine/worker.py", "+= seconds * request.rows / rows", "+= seconds / len(batch)", CHARGES),
    ("engine/worker.py", "request.resident.seconds += seconds\n", "pass\n", CHARGES),
    (
        "engine/worker.py",
        "self._pulse.seconds += seconds\n        self._pulse.passes",
        "self._pulse.passes",
        CHARGES,
    ),
    ("engine/worker.py", "self._pulse.rows += rows", "self._pulse.rows += len(batch)", CHARGES),
    (
        "engine/worker.py",
        "error=error, device_seconds=resident.seconds",
        "error=error, device_seconds=0.0",
        CHARGES,
    ),
    (
        "engine/worker.py",
        "Finished(job=resident.job.id, device_seconds=resident.seconds)",
        "Finished(job=resident.job.id, device_seconds=0.0)",
        CHARGES,
    ),
    ("engine/worker.py", "self._outbox.put(self._progress(resident))  # what", "pass  # what", CHARGES),
    ("engine/worker.py", "self._turns.bill(request, seconds)", "pass", CHARGES),
    ("engine/worker.py", "ValueError | TypeError) and not in_pass", "ValueError | TypeError)", CHARGES),
    ("engine/worker.py", "if self.resident.job.deaths:", "if False:", CHARGES),
    ("engine/fair_queue.py", "branch.charge(per_row * step.rows)", "pass", CHARGES),
    ("engine/fair_queue.py", "branch.charge(per_row * step.rows)", "branch.charge(per_row)", CHARGES),
    ("engine/fair_queue.py", "self._branch(step).charge(seconds)", "pass", CHARGES),
    (
        "engine/fair_queue.py",
        "share.virtual_time += seconds / share.weight",
        "share.virtual_time += seconds",
        CHARGES,
    ),
    ("engine/fair_queue.py", "self._charge(lane, seconds - job.cost)", "self._charge(lane, 0.0)", CHARGES),
    ("engine/fair_queue.py", "share.served += seconds", "share.served += job.cost", CHARGES),
    (
        "engine/fair_queue.py",
        "self._charge(lane, job.cost)\n        if",
        "self._charge(lane, 0.0)\n        if",
        CHARGES,
    ),
    ("engine/fair_queue.py", "if len(priority.inside) < priority.places else 1", "if True else 1", QUEUE),
    ("engine/fair_queue.py", "len(lane.running) < room", "True", QUEUE),
    (
        "engine/fair_queue.py",
        "if job.id in self._where:\n            raise",
        "if False:\n            raise",
        QUEUE,
    ),
    ("engine/fair_queue.py", "len(self._fast.inside) < self._devices", "True", QUEUE),
    ("engine/fair_queue.py", "self._put(job, -turn if first else turn)", "self._put(job, turn)", QUEUE),
    (
        "engine/dispatcher.py",
        "self._queue.settle(job.id, event.device_seconds)",
        "self._queue.settle(job.id, job.cost)",
        CHARGES,
    ),
    ("engine/dispatcher.py", "self._queue.settle(job.id, spent)", "self._queue.settle(job.id, 0.0)", CHARGES),
    ("engine/dispatcher.py", "self._costs.observe(job.request, event.device_seconds)", "pass", CHARGES),
    (
        "engine/dispatcher.py",
        "if isinstance(event, Finished):\n            self._costs",
        "if True:\n            self._costs",
        CHARGES,
    ),
    ("engine/costs.py", "before + weight * (measured - before)", "before + weight * measured", COSTS),
    ("engine/costs.py", "min(seen[known] * rows / known for", "min(seen[known] for", COSTS),
    ("engine/costs.py", "if known < rows or known == nearest", "if known == nearest", COSTS),
    ("engine/costs.py", "smoothed(self._rates.pop(kind, rate), rate, self._WEIGHT)", "rate", COSTS),
    ("engine/costs.py", "while len(self._rates) > self._KINDS:", "while False:", COSTS),
    (
        "engine/costs.py",
        "return (*model, request.width, request.height, entry.steps_run(request)), model",
        "return model, model",
        COSTS,
    ),
    # --- batching: what must stay apart does
    ("engine/batching.py", "tuple(value.shape), request.digest(name, value)", "tuple(value.shape)", APART),
    (
        "engine/batching.py",
        'return "shared", value.dtype, tuple(value.shape),',
        'return "shared", value.dtype,',
        APART,
    ),
    (
        "engine/batching.py",
        'return "rows", value.dtype, tuple(value.shape[1:])',
        'return "rows", value.dtype',
        APART,
    ),
    (
        "engine/batching.py",
        'return "rows", value.dtype, tuple(value.shape[1:])',
        'return "rows", tuple(value.shape[1:])',
        APART,
    ),
    ("engine/batching.py", 'return "scalar", value.dtype', 'return "scalar", None', APART),
    ("engine/batching.py", " or known[1] != value._version", "", APART),
    ("engine/batching.py", " or known[0] is not value", "", APART),
    ("engine/batching.py", "return type(value), value", "return value", APART),
    ("engine/batching.py", 'return "object", id(request), id(value)', 'return "object", id(value)', APART),
    ("engine/batching.py", 'repr(value[0]) if name in self.shared else ""', '""', APART),
    ("engine/batching.py", "key = (id(self), tuple(", "key = (0, tuple(", APART),
    ("engine/batching.py", "if not self.alone:", "if True:", APART),
    ("engine/batching.py", "[sum(rows[:i]) for i in range(len(rows))]", "list(range(len(rows)))", APART),
    (
        "engine/batching.py",
        "index = seen.get(content, len(unique)) if content is not None else len(unique)",
        "index = len(unique)",
        APART,
    ),
    (
        "engine/batching.py",
        "content.append((tuple(value.shape), value.cpu().numpy().tobytes()))",
        "content.append(tuple(value.shape))",
        APART,
    ),
]
