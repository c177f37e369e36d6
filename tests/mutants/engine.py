"""Mutations of the engine that its tests must notice: path, what stands there once, what instead, the tests.

Not among them, since nothing can tell: `forget_idle` and `_forget` only free memory, and `LEVEL` is less than
any two costs differ by.
"""

from __future__ import annotations

APART = "tests/unit/test_apart.py"
CHARGES = "tests/unit/test_charges.py"
COSTS = "tests/unit/test_cost_model.py"
DISPATCHER = "tests/unit/test_dispatcher.py"
FITNESS = "tests/unit/test_fitness.py"
PLACEMENT = "tests/unit/test_placement.py"
QUEUE = "tests/unit/test_scheduling.py"
VITALS = "tests/unit/test_heartbeat.py"

MUTATIONS: list[tuple[str, str, str, str]] = [
    # --- faults: who is blamed, who goes out, who is counted
    (
        "engine/workers/dispatcher.py",
        "deaths=job.deaths + (job.id in suspects)",
        "deaths=job.deaths + 1",
        FITNESS,
    ),
    (
        "engine/workers/dispatcher.py",
        "slot.suspects or frozenset(slot.begun)",
        "frozenset(slot.suspects)",
        FITNESS,
    ),
    ("engine/workers/dispatcher.py", "or frozenset(slot.begun)", "or frozenset(slot.jobs)", FITNESS),
    ("engine/workers/dispatcher.py", "if slot.condemned:  # it was not", "if False:  # it was not", FITNESS),
    ("engine/workers/dispatcher.py", "sum(slot.ready for slot in self._slots)", "len(self._slots)", FITNESS),
    (
        "engine/workers/dispatcher.py",
        "            self._count_devices()\n            await worker.close()",
        "            await worker.close()",
        FITNESS,
    ),
    (
        "engine/workers/dispatcher.py",
        "and event.error.of_engine\n        if broken",
        "\n        if broken",
        FITNESS,
    ),
    ("engine/workers/dispatcher.py", "if broken and slot.fitness.failed():", "if False:", FITNESS),
    (
        "engine/workers/dispatcher.py",
        "return (not_loaded or len(tried) < TRIES) and any(",
        "return any(",
        FITNESS,
    ),
    (
        "engine/workers/dispatcher.py",
        "if broken and self._goes_elsewhere(",
        "if False and self._goes_elsewhere(",
        FITNESS,
    ),
    ("engine/workers/dispatcher.py", "slot.fitness.unable.add(job.request.model)", "pass", FITNESS),
    ("engine/workers/dispatcher.py", "elif slot.fitness.replaced:", "elif False:", FITNESS),
    (
        "engine/workers/dispatcher.py",
        "if error is not None and len(models) == 1:",
        "if error is not None:",
        FITNESS,
    ),
    (
        "engine/workers/dispatcher.py",
        "if slot.condemned:\n                        break",
        "if False:\n                        break",
        FITNESS,
    ),
    ("engine/workers/dispatcher.py", "slot.pause = OUT_SECONDS", "slot.pause = 0.0", FITNESS),
    (
        "engine/scheduling/placement.py",
        "if each.able(model) and each not in but_for]",
        "if each.able(model)]",
        FITNESS,
    ),
    (
        "engine/scheduling/placement.py",
        "return min(here, key=lambda each:",
        "return max(here, key=lambda each:",
        PLACEMENT,
    ),
    ("engine/scheduling/placement.py", "wanted = self._waiting(other) > 0", "wanted = False", PLACEMENT),
    (
        "engine/scheduling/placement.py",
        "if self._passed[model] < self.patience(model):",
        "if True:",
        PLACEMENT,
    ),
    (
        "engine/scheduling/placement.py",
        "if model in loaded.sizes and not (reserved",
        "if model in loaded.sizes or (reserved",
        PLACEMENT,
    ),
    (
        "engine/scheduling/placement.py",
        "return tuple(leave) if free >= size or",
        "return tuple(leave) if True or",
        PLACEMENT,
    ),
    ("engine/workers/dispatcher.py", "self._failed_on.pop(event.job, None)", "pass", FITNESS),
    (
        "engine/scheduling/placement.py",
        "and each not in but_for] or serving",
        "and each not in but_for]",
        FITNESS,
    ),
    ("engine/workers/dispatcher.py", "if model.name == fitness.proven]", "if False]", FITNESS),
    ("engine/workers/dispatcher.py", "self._clock() - self._last_progress", "0.0", FITNESS),
    ("engine/workers/dispatcher.py", "if not self._has_work:\n", "if False:\n", FITNESS),
    ("engine/workers/dispatcher.py", "if job.deaths >= DEATHS:", "if job.deaths > DEATHS:", FITNESS),
    ("engine/workers/dispatcher.py", "    if cancelled:", "    if False:", DISPATCHER),
    (
        "engine/workers/dispatcher.py",
        "self._queue.put(job, first=True)\n            if held:",
        "self._queue.put(job)\n            if held:",
        DISPATCHER,
    ),
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
        "engine/workers/process.py",
        "if beats == self._beats else 0",
        "if beats == self._beats else self._missed",
        VITALS,
    ),
    (
        "engine/workers/process.py",
        "self._missed = self._missed + 1 if",
        "self._missed = self._missed if",
        VITALS,
    ),
    (
        "engine/workers/process.py",
        "if activity is None and sent != self._heartbeat.taken",
        "if sent != self._heartbeat.taken",
        VITALS,
    ),
    (
        "engine/workers/process.py",
        "(SILENT_BEATS if activity is None else BUSY_SILENT_BEATS)",
        "SILENT_BEATS",
        VITALS,
    ),
    ("engine/workers/heartbeat.py", "time.monotonic() > self.began + self.limit", "False", VITALS),
    # --- charges: in the worker, in the order of steps, in the queue
    ("engine/workers/loop.py", "self._turns.charge(batch, seconds)", "pass", CHARGES),
    (
        "engine/workers/loop.py",
        "request.charge(seconds * request.rows / rows)",
        "request.charge(seconds / len(batch))",
        CHARGES,
    ),
    ("engine/workers/loop.py", "request.charge(seconds)\n", "pass\n", CHARGES),
    (
        "engine/workers/loop.py",
        "self._pulse.seconds += seconds\n        self._pulse.passes",
        "self._pulse.passes",
        CHARGES,
    ),
    ("engine/workers/loop.py", "self._pulse.rows += rows", "self._pulse.rows += len(batch)", CHARGES),
    (
        "engine/workers/loop.py",
        "error=error, device_seconds=resident.seconds",
        "error=error, device_seconds=0.0",
        CHARGES,
    ),
    (
        "engine/workers/loop.py",
        "Finished(job=resident.job.id, device_seconds=resident.seconds)",
        "Finished(job=resident.job.id, device_seconds=0.0)",
        CHARGES,
    ),
    ("engine/workers/loop.py", "self._outbox.put(self._progress(resident))  # what", "pass  # what", CHARGES),
    ("engine/workers/loop.py", "self._turns.bill(request, seconds)", "pass", CHARGES),
    ("engine/workers/loop.py", "ValueError | TypeError) and not in_pass", "ValueError | TypeError)", CHARGES),
    ("engine/workers/loop.py", "if self.resident.job.deaths:", "if False:", CHARGES),
    ("engine/scheduling/step_order.py", "branch.charge(per_row * step.rows)", "pass", CHARGES),
    (
        "engine/scheduling/step_order.py",
        "branch.charge(per_row * step.rows)",
        "branch.charge(per_row)",
        CHARGES,
    ),
    ("engine/scheduling/step_order.py", "self._branch(step).charge(seconds)", "pass", CHARGES),
    (
        "engine/scheduling/shares.py",
        "share.virtual_time += seconds / share.weight",
        "share.virtual_time += seconds",
        CHARGES,
    ),
    (
        "engine/scheduling/job_queue.py",
        "self._charge(lane, seconds - job.cost)",
        "self._charge(lane, 0.0)",
        CHARGES,
    ),
    ("engine/scheduling/job_queue.py", "share.served += seconds", "share.served += job.cost", CHARGES),
    (
        "engine/scheduling/job_queue.py",
        "self._charge(lane, job.cost)\n        if",
        "self._charge(lane, 0.0)\n        if",
        CHARGES,
    ),
    (
        "engine/scheduling/job_queue.py",
        "if len(priority.inside) < priority.soft_limit else 1",
        "if True else 1",
        QUEUE,
    ),
    ("engine/scheduling/job_queue.py", "len(lane.running) < room", "True", QUEUE),
    (
        "engine/scheduling/job_queue.py",
        "if job.id in self._where:\n            raise",
        "if False:\n            raise",
        QUEUE,
    ),
    ("engine/scheduling/job_queue.py", "len(self._fast.inside) < self._devices", "True", QUEUE),
    (
        "engine/scheduling/job_queue.py",
        "self._put(job, -turn if first else turn)",
        "self._put(job, turn)",
        QUEUE,
    ),
    (
        "engine/workers/dispatcher.py",
        "self._queue.settle(job.id, event.device_seconds)",
        "self._queue.settle(job.id, job.cost)",
        CHARGES,
    ),
    (
        "engine/workers/dispatcher.py",
        "self._queue.settle(job.id, spent)",
        "self._queue.settle(job.id, 0.0)",
        CHARGES,
    ),
    (
        "engine/workers/dispatcher.py",
        "self._costs.observe(job.request, event.device_seconds)",
        "pass",
        CHARGES,
    ),
    (
        "engine/workers/dispatcher.py",
        "if isinstance(event, Finished):\n            self._costs",
        "if True:\n            self._costs",
        CHARGES,
    ),
    (
        "engine/scheduling/cost_model.py",
        "before + weight * (measured - before)",
        "before + weight * measured",
        COSTS,
    ),
    ("engine/scheduling/cost_model.py", "min(seen[known] * rows / known for", "min(seen[known] for", COSTS),
    ("engine/scheduling/cost_model.py", "if known < rows or known == nearest", "if known == nearest", COSTS),
    (
        "engine/scheduling/cost_model.py",
        "smoothed(self._rates.pop(kind, rate), rate, self._WEIGHT)",
        "rate",
        COSTS,
    ),
    ("engine/scheduling/cost_model.py", "while len(self._rates) > self._KINDS:", "while False:", COSTS),
    (
        "engine/scheduling/cost_model.py",
        "return (*model, request.width, request.height, entry.steps_run(request)), model",
        "return model, model",
        COSTS,
    ),
    # --- batching: what must stay apart does
    (
        "engine/pipelines/batching.py",
        "tuple(value.shape), request.digest(name, value)",
        "tuple(value.shape)",
        APART,
    ),
    (
        "engine/pipelines/batching.py",
        'return "shared", value.dtype, tuple(value.shape),',
        'return "shared", value.dtype,',
        APART,
    ),
    (
        "engine/pipelines/batching.py",
        'return "rows", value.dtype, tuple(value.shape[1:])',
        'return "rows", value.dtype',
        APART,
    ),
    (
        "engine/pipelines/batching.py",
        'return "rows", value.dtype, tuple(value.shape[1:])',
        'return "rows", tuple(value.shape[1:])',
        APART,
    ),
    ("engine/pipelines/batching.py", 'return "scalar", value.dtype', 'return "scalar", None', APART),
    ("engine/pipelines/batching.py", " or known[1] != value._version", "", APART),
    ("engine/pipelines/batching.py", " or known[0] is not value", "", APART),
    ("engine/pipelines/batching.py", "return type(value), value", "return value", APART),
    (
        "engine/pipelines/batching.py",
        'return "object", id(request), id(value)  # a key-value cache',
        'return "object", id(value)  # a key-value cache',
        APART,
    ),
    (
        "engine/pipelines/batching.py",
        "if value.shape[0] != rows:",
        "if False:",
        APART,
    ),
    (
        "engine/pipelines/comparing.py",
        "known.equal |= varied - known.varied",
        "known.varied |= varied",
        "tests/unit/test_rehearsal.py",
    ),
    ("engine/pipelines/batching.py", 'repr(value[0]) if name in self.shared else ""', '""', APART),
    ("engine/pipelines/batching.py", "call.key = id(self), tuple(", "call.key = 0, tuple(", APART),
    ("engine/pipelines/batching.py", "if not self.alone:", "if True:", APART),
    (
        "engine/pipelines/batching.py",
        "[sum(rows[:i]) for i in range(len(rows))]",
        "list(range(len(rows)))",
        APART,
    ),
    (
        "engine/pipelines/batching.py",
        "index = seen.get(content, len(unique)) if content is not None else len(unique)",
        "index = len(unique)",
        APART,
    ),
    (
        "engine/pipelines/batching.py",
        "content.append((tuple(value.shape), value.cpu().numpy().tobytes()))",
        "content.append(tuple(value.shape))",
        APART,
    ),
]
