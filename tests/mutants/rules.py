"""Changes to who may ask for what that a test must notice: path, text, what stands instead, who notices."""

from __future__ import annotations

POLICY = "bot/accounts/access_rules.py"
COMPOSING = "bot/prompts/composing.py"
REVIEWS = "bot/moderation/reviews.py"
ADMISSION = "bot/jobs/admission.py"
REMAINING = "bot/accounts/remaining.py"
RULES = "tests/unit/test_access_rules.py"
DOOR = "tests/unit/test_admission.py"
REMOVALS = "tests/unit/test_store_removals.py"
TOLD = "tests/scenario/test_moderation.py"

MUTATIONS: list[tuple[str, str, str, str]] = [
    # ---- who may administrate
    (POLICY, "member.id in operators or (", "(", RULES),
    (POLICY, "member.admin and origin.surface in OPERATED", "origin.surface in OPERATED", RULES),
    (POLICY, "member.admin and origin.surface in OPERATED", "member.admin", RULES),
    (POLICY, "if not command.admin or runs_easel", "if runs_easel", RULES),
    (POLICY, "if not origin.member.admin:", "if False:", RULES),
    (POLICY, "    if command.operator:", "    if False:", RULES),
    # ---- which tier
    (
        POLICY,
        "(each.tenant != INSTANCE, each.member != member.id)",
        "(each.member != member.id, each.tenant != INSTANCE)",
        RULES,
    ),
    (POLICY, "(each.tenant != INSTANCE, each.member != member.id)", "each.tenant != INSTANCE", RULES),
    (POLICY, "allowances=own[:1]", "allowances=own", RULES),
    (POLICY, "(*tiers.periods, *own, *roles)", "tiers.periods", RULES),
    (
        POLICY,
        "self._standing.place.tier, self._standing.everywhere.tier, DEFAULT",
        "self._standing.everywhere.tier, self._standing.place.tier, DEFAULT",
        RULES,
    ),
    (POLICY, "tiers.first(by_role) or usual", "usual", RULES),
    (POLICY, "standing.home or member.tenant", "member.tenant", RULES),
    # ---- may they ask at all
    (
        POLICY,
        "for person in self._persons:\n            if person.is_blocked",
        "for person in self._persons[:1]:\n            if person.is_blocked",
        RULES,
    ),
    (
        POLICY,
        "for person in self._persons:\n            if person.is_blocked",
        "for person in self._persons[1:]:\n            if person.is_blocked",
        RULES,
    ),
    ("bot/models.py", "self.blocked and (self.until is None or self.until > now)", "self.blocked", RULES),
    (
        "bot/models.py",
        "self.blocked and (self.until is None or self.until > now)",
        "self.blocked and self.until is None",
        RULES,
    ),
    (POLICY, "if any(policy.paused for", "if all(policy.paused for", RULES),
    (POLICY, "if any(policy.drained for", "if all(policy.drained for", RULES),
    (POLICY, "if not self.takes_channel(channel):", "if False:", RULES),
    (POLICY, "return all(policy.channels.takes", "return any(policy.channels.takes", RULES),
    # ---- what may be asked for
    (POLICY, "return mine and here and", "return here and", RULES),
    (POLICY, "here = all(_present(", "here = any(_present(", RULES),
    (POLICY, " and limits.usable(model, self.tier)", "", RULES),
    (POLICY, " and not self._forbids(model)", "", RULES),
    (POLICY, "return all(policy.styles.takes", "return any(policy.styles.takes", RULES),
    (
        POLICY,
        "(self._standing.place, self._standing.everywhere)",
        "(self._standing.everywhere, self._standing.place)",
        RULES,
    ),
    (POLICY, "if own.aspect or own.size:", "if own.aspect:", RULES),
    (POLICY, "if model is None or self._takes_model(model, offered):", "if True:", RULES),
    (POLICY, 'if wanted and "relax" not in priorities:', "if False:", RULES),
    (POLICY, 'bool(wanted) or "fast" not in priorities', "bool(wanted)", RULES),
    (POLICY, 'if style not in ("", NO_STYLE) and not', "if not", RULES),
    (POLICY, "if request.paints:", "if True:", RULES),
    (COMPOSING, "if value != nearest:", "if value > nearest + 1:", RULES),
    (
        POLICY,
        "before = request.before_upscale()",
        "before = request",
        RULES,
    ),
    (POLICY, "if times <= 1:", "if times <= 2:", RULES),
    (POLICY, "None if draft is None or draft.has_file else draft", "draft", RULES),
    # ---- strictness and terms
    (POLICY, '"strict" in (everywhere.strictness, place.strictness)', 'place.strictness == "strict"', RULES),
    (
        POLICY,
        '"strict" in (everywhere.strictness, place.strictness)',
        'everywhere.strictness == "strict"',
        RULES,
    ),
    (POLICY, '"relaxed" if place.strictness == "relaxed" else "standard"', '"standard"', RULES),
    (POLICY, "            adult=adult,\n", "            adult=False,\n", RULES),
    (POLICY, "(*everywhere.refused_terms, *place.refused_terms)", "place.refused_terms", RULES),
    (POLICY, "(*everywhere.refused_terms, *place.refused_terms)", "everywhere.refused_terms", RULES),
    (POLICY, "(*everywhere.allowed_terms, *place.allowed_terms)", "place.allowed_terms", RULES),
    (POLICY, "(*everywhere.allowed_terms, *place.allowed_terms)", "everywhere.allowed_terms", RULES),
    # ---- budgets
    (POLICY, '_("this place"), place.budget)', '_("this place"), everywhere.budget)', RULES),
    (POLICY, '_("all of Easel"), everywhere.budget)', '_("all of Easel"), place.budget)', RULES),
    (POLICY, "place.channel_budgets.get(channel))", "place.budget)", RULES),
    (POLICY, 'f"budget:{tenant}/{channel}"', 'f"budget:{channel}"', RULES),
    (POLICY, "place.channel_budgets.get(channel))", "house.channel_budgets.get(channel))", RULES),
    (ADMISSION, "rules.budgets(origin.member.tenant, origin.channel)", 'rules.budgets("", "")', DOOR),
    (
        ADMISSION,
        "rules.budgets(origin.member.tenant, origin.channel)",
        'rules.budgets(origin.member.tenant, "")',
        DOOR,
    ),
    # ---- admission
    ("bot/store/store.py", "    check_blocks(session, member, account, now)\n", "", REMOVALS),
    (
        "bot/store/people.py",
        '_people.c.member.in_((bindparam("member"), bindparam("account")))',
        "False",
        REMOVALS,
    ),
    ("bot/store/people.py", 'in_((INSTANCE, bindparam("tenant")))', "in_((INSTANCE,))", REMOVALS),
    ("bot/store/people.py", 'in_((INSTANCE, bindparam("tenant")))', 'in_((bindparam("tenant"),))', REMOVALS),
    (
        "bot/store/people.py",
        'select(_identities.c.member).where(_identities.c.account == bindparam("account"))',
        "()",
        REMOVALS,
    ),
    (ADMISSION, "budgets=budgets, periods=rules.periods", "budgets=(), periods=rules.periods", DOOR),
    (ADMISSION, "budgets=budgets, periods=rules.periods", "budgets=budgets", DOOR),
    (REMAINING, "0 if balance.name else gift)", "gift)", DOOR),
    (REMAINING, "return min(max(own, gift), *shared", "return min(own, *shared", DOOR),
    (REMAINING, "return min(max(own, gift), *shared", "return min(own + gift, *shared", DOOR),
    (REMAINING, "max(own, gift), *shared, math.inf", "max(own, gift), math.inf", DOOR),
    (ADMISSION, "if limit and not periods.fits(", "if False and not periods.fits(", DOOR),
    (REMAINING, 'if balance.name != "gift"]', "]", DOOR),
    (
        ADMISSION,
        "if context.draft and not context.draft.has_file:",
        "if context.draft:",
        DOOR,
    ),
    (ADMISSION, "range(request.count - 1, 0, -1)", "range(1, request.count)", DOOR),
    (ADMISSION, "if context.balances else balance.left", "if context.balances else balance.cap", DOOR),
    (
        ADMISSION,
        'elif context.relaxing and "relax" in rules.tier.priorities:',
        "elif context.relaxing:",
        DOOR,
    ),
    (ADMISSION, "count=count)\n            return\n", "count=count)\n", DOOR),
    (ADMISSION, "if not offers and estimate > balance.cap:", "if not offers:", DOOR),
    # ---- strikes and reports
    (
        REVIEWS,
        "INSTANCE if category == moderation.MINORS else member.tenant",
        "member.tenant",
        f"{TOLD}::test_the_hard_block_begins_a_cool_off_everywhere_at_once",
    ),
    (
        REVIEWS,
        "INSTANCE if category == moderation.MINORS else member.tenant",
        "INSTANCE",
        f"{TOLD}::test_real_people_in_sexual_content_are_a_strike_in_that_place",
    ),
    (
        REVIEWS,
        "        if verdict.certain:\n",
        "        if True:\n",
        f"{TOLD}::test_what_may_be_innocent_is_refused_without_a_strike",
    ),
    (
        REVIEWS,
        "        if verdict.certain:\n",
        "        if False:\n",
        f"{TOLD}::test_real_people_in_sexual_content_are_a_strike_in_that_place",
    ),
    (
        REVIEWS,
        'key = f"{origin.surface}/{origin.event}"',
        'key = f"{id(origin)}/{datetime.now()}"',
        f"{TOLD}::test_the_same_event_strikes_once",
    ),
    (
        REVIEWS,
        "(request.negative_prompt,), rules",
        "(), rules",
        f"{TOLD}::test_refused_words_are_explained_by_category_and_cost_nothing",
    ),
    (
        REVIEWS,
        "words = (typed, request.prompt, weights.read(request.prompt).plain, request.lettering)",
        "words = (typed,)",
        f"{TOLD}::test_the_words_that_a_style_adds_are_watched_too",
    ),
    (
        REVIEWS,
        "        await self._tell(origin)\n",
        "",
        f"{TOLD}::test_removing_deletes_the_job_with_a_strike_that_its_owner_is_told_of_once",
    ),
    (
        REVIEWS,
        "category=category, told=True)",
        "category=category)",
        f"{TOLD}::test_three_strikes_bring_a_cool_off_and_the_next_lasts_longer",
    ),
    (
        REVIEWS,
        "telemetry.REFUSED.labels(verdict.category).inc()",
        "pass",
        f"{TOLD}::test_real_people_in_sexual_content_are_a_strike_in_that_place",
    ),
    (
        REVIEWS,
        "if job.state is not State.RENDERED:",
        "if False:",
        f"{TOLD}::test_only_finished_pictures_are_reported",
    ),
    (
        REVIEWS,
        "if job.origin.member.id in await self._store.sharing(origin.member.id):",
        "if job.origin.member.id == origin.member.id and False:",
        f"{TOLD}::test_a_report_reaches_the_administrators_once_for_each_person",
    ),
    (
        REVIEWS,
        '"" if everywhere else origin.member.tenant',
        '""',
        f"{TOLD}::test_administrators_review_what_was_reported_in_their_own_place",
    ),
    (
        REVIEWS,
        "if not (origin.member.admin or everywhere):",
        "if False:",
        f"{TOLD}::test_only_the_places_administrators_decide",
    ),
    (
        REVIEWS,
        "everywhere or job.origin.member.tenant == origin.member.tenant)",
        "True)",
        f"{TOLD}::test_only_the_places_administrators_decide",
    ),
    (
        REVIEWS,
        "        if job.state is State.DELETED:",
        "        if False:",
        f"{TOLD}::test_what_its_owner_deleted_is_not_decided_about",
    ),
    (
        REVIEWS,
        '        if decision == "remove":',
        "        if True:",
        f"{TOLD}::test_keeping_keeps_and_a_second_decision_changes_nothing",
    ),
    (
        REVIEWS,
        "            self._show(replace(job, state=State.DELETED, delivered=None))",
        "            pass",
        f"{TOLD}::test_removing_deletes_the_job_with_a_strike_that_its_owner_is_told_of_once",
    ),
]
