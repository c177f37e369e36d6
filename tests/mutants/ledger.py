"""Mutations of the books, of who shares an account and of who leads; the tests named kill each."""

from __future__ import annotations

_A = "tests/unit/test_store_accounts.py"
_Q = "tests/unit/test_periods.py"
_LEDGER, _IDS, _QUOTA = "bot/store/ledger.py", "bot/store/identities.py", "bot/accounts/periods.py"
_GIFTS = f"{_A}::test_gifts_go_to_whoever_made_the_code_and_to_nobody_else"
_BACK = f"{_A}::test_leaving_and_coming_back_forgets_no_debt"
_CHARGE = f"{_A}::test_a_job_is_charged_what_it_took_and_at_most_what_was_held"
_MERGED = f"{_A}::test_what_was_held_used_and_given_is_merged"
_CODES = f"{_A}::test_a_code_that_cannot_be_used_says_why"
_RESET = f"{_A}::test_a_reset_forgets_what_was_charged_and_keeps_what_is_held"
_GIFT = f"{_A}::test_a_gift_pays_the_whole_job_when_the_allowance_is_too_small"
_ONCE = f"{_A}::test_a_gift_is_given_once_for_each_key"
_COOL = f"{_A}::test_a_cooldown_counts_from_the_last_accepted_request"
_ROLL = f"{_A}::test_a_rolling_period_begins_with_the_first_request"
_RELAX = f"{_A}::test_relaxed_jobs_are_free_and_still_wait_their_turn"
_CLOCKS = "tests/unit/test_store_clocks.py"
_GUARD = "tests/unit/test_guard.py"

MUTATIONS: list[tuple[str, str, str, str]] = [
    # what a job costs
    (_LEDGER, "charge = periods.charged_ms(measured, held)", "charge = held", _CHARGE),
    (
        _LEDGER,
        "releases.append(_line(account, bucket, held - charge))",
        "releases.append(_line(account, bucket, held))",
        _CHARGE,
    ),
    (_LEDGER, 'if amount := each["amount_ms"]:', 'if not (amount := each["amount_ms"]):', _CHARGE),
    (_QUOTA, "round(min(held, max(0.0, measured * 1000)))", "round(max(0.0, measured * 1000))", _Q),
    (_QUOTA, "round(min(held, max(0.0, measured * 1000)))", "round(min(held, measured * 1000))", _Q),
    (
        _QUOTA,
        "return math.ceil(round(estimate * 1000, 3))",
        "return math.floor(round(estimate * 1000, 3))",
        _Q,
    ),
    (_QUOTA, "if not math.isfinite(estimate) or estimate < 0:", "if estimate < 0:", _Q),
    (_QUOTA, "if not 0.001 <= seconds <= LARGEST:", "if not 0.0 <= seconds <= LARGEST:", _Q),
    (_QUOTA, "starts + _LENGTHS[per])", "starts + 2 * _LENGTHS[per])", _Q),
    (
        _QUOTA,
        "return day, (day + timedelta(days=31)).replace(day=1)",
        "return day, day + timedelta(days=30)",
        _Q,
    ),
    (_QUOTA, "day -= timedelta(days=day.weekday())", "day -= timedelta(days=day.isoweekday())", _Q),
    # what an allowance holds
    (
        _LEDGER,
        '_allowances.c.used_ms + bindparam("amount") <= bindparam("limit")',
        '_allowances.c.used_ms <= bindparam("limit")',
        f"{_A}::test_the_allowance_that_resets_last_is_named",
    ),
    (
        _LEDGER,
        "        if amount > bucket.cap_ms:\n            return None\n",
        "",
        f"{_A}::test_a_first_request_that_is_more_than_the_allowance_is_refused",
    ),
    (
        _LEDGER,
        "last = max(buckets, key",
        "last = min(buckets, key",
        f"{_A}::test_the_allowance_that_resets_last_is_named",
    ),
    (
        _LEDGER,
        "each: (each.order, -(each.cap_ms or 0))",
        "each: (each.order, each.cap_ms or 0)",
        f"{_A}::test_of_two_allowances_for_the_same_period_the_smaller_counts_once",
    ),
    (
        _LEDGER,
        "return [replace(each, cap_ms=BOUNDLESS) for each in budget_buckets(session, unlimited, now)]",
        "return []",
        f"{_A}::test_who_has_tiers_of_different_periods_has_one_allowance",
    ),
    (_LEDGER, "now < newest.ends <= now + length + _AHEAD", "now < newest.ends", _CLOCKS),
    (_LEDGER, "now < newest.ends <= now + length + _AHEAD", "newest.ends <= now + length + _AHEAD", _ROLL),
    # gifts and resets
    (_LEDGER, "    _move(session, account, GIFTS, cap=amount)\n", "", _GIFT),
    (
        _LEDGER,
        'key=f"gift/{key}", at=now, by=by):\n        return False',
        'key=f"gift/{key}", at=now, by=by):\n        pass',
        _ONCE,
    ),
    (_LEDGER, "charged = row.used_ms - sum(_holds(session, row).values())", "charged = row.used_ms", _RESET),
    (
        _LEDGER,
        "if charged and row.bucket != GIFTS:",
        "if charged:",
        f"{_A}::test_a_reset_leaves_gifts_as_they_are",
    ),
    # two accounts become one, or one two
    (_LEDGER, "there.cap_ms + given if given", "given if given", _GIFTS),
    (_LEDGER, "given = row.cap_ms if row.bucket == GIFTS else 0", "given = 0", _GIFTS),
    (
        _LEDGER,
        "_move(session, row.account, row.bucket, used=-row.used_ms, cap=-given)",
        "_move(session, row.account, row.bucket, used=-row.used_ms)",
        _GIFTS,
    ),
    (_LEDGER, '"used": there.used_ms + row.used_ms, "cap"', '"used": row.used_ms, "cap"', _BACK),
    (_LEDGER, "_create(session, bucket, used_ms=row.used_ms)", "_create(session, bucket, used_ms=0)", _BACK),
    (_LEDGER, "if row.used_ms and row.bucket not in (GIFTS, UNLIMITED):", "if False:", _BACK),
    (_IDS, "ledger.merge(session, joined, kept,", "ledger.merge(session, kept, joined,", _GIFTS),
    (
        _IDS,
        "kept, joined = account_of(session, found.member), account_of(session, member)",
        "joined, kept = account_of(session, found.member), account_of(session, member)",
        _GIFTS,
    ),
    (_IDS, "ledger.copy(session, shared, own,", "ledger.copy(session, own, shared,", _BACK),
    (_IDS, "    if found.expires <= now:\n", "    if False:\n", _CODES),
    (_IDS, "    if found.used:\n", "    if False:\n", _CODES),
    (_IDS, "    if found.member == member:\n", "    if False:\n", _CODES),
    (
        _IDS,
        "timedelta(seconds=cooldown) if cooldown > 0 else _FAR",
        "timedelta(seconds=0) if cooldown > 0 else _FAR",
        _COOL,
    ),
    (
        _LEDGER,
        "max(row.ends, newest.ends)",
        "row.ends",
        f"{_A}::test_of_two_rolling_windows_the_later_end_holds",
    ),
    (
        _IDS,
        "update(_jobs).where(*of_joined).values(account=kept)",
        "update(_jobs).where(*of_joined).values(account=joined)",
        f"{_A}::test_jobs_that_wait_are_the_joint_account_s_from_then_on",
    ),
    (_IDS, 'accepted=bindparam("now"),', "accepted=_accounts.c.accepted,", _COOL),
    (
        _IDS,
        "values(closed=True)",
        "values(closed=False)",
        f"{_A}::test_a_request_that_meets_a_link_is_paid_by_the_joint_account",
    ),
    # who leads, and the time that retention goes by
    ("bot/store/leadership.py", "values(term=_leader.c.term + 1)", "values(term=_leader.c.term)", _GUARD),
    ("bot/store/database.py", "leadership.check(session, term, hold=True)", "pass", _GUARD),
    (
        "bot/jobs/tracker.py",
        "            del life.events[0]\n            delay, tries = 0.25, 0\n",
        "            life.events.clear()\n            delay, tries = 0.25, 0\n",
        "tests/scenario/test_imagine.py::test_a_prompt_becomes_one_message_that_ends_as_pictures",
    ),
    ("bot/store/clocks.py", "step = min(DAY, CATCHES_UP", "step = max(DAY, CATCHES_UP", _CLOCKS),
    ("bot/store/clocks.py", "else min(now, last + step)", "else now", _CLOCKS),
]
