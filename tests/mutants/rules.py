"""Changes to who may ask for what that a test must notice: path, text, what stands instead, who notices."""

from __future__ import annotations

POLICY = "bot/policy.py"
REVIEWS = "bot/reviews.py"
ADMISSION = "bot/admission.py"
RULES = "tests/unit/test_policy.py"
DOOR = "tests/unit/test_admission.py"
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
        "(each.tenant != HOUSE, each.member != member.id)",
        "(each.member != member.id, each.tenant != HOUSE)",
        RULES,
    ),
    (POLICY, "(each.tenant != HOUSE, each.member != member.id)", "each.tenant != HOUSE", RULES),
    (POLICY, "allowances=own[:1]", "allowances=own", RULES),
    (POLICY, "(*tiers.periods, *own)", "tiers.periods", RULES),
    (
        POLICY,
        "self._standing.place.tier, self._standing.house.tier, DEFAULT",
        "self._standing.house.tier, self._standing.place.tier, DEFAULT",
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
    (POLICY, "return mine and all(policy.models", "return all(policy.models", RULES),
    (POLICY, "return mine and all(policy.models", "return mine and any(policy.models", RULES),
    (POLICY, "return all(policy.styles.takes", "return any(policy.styles.takes", RULES),
    (
        POLICY,
        "(self._standing.place, self._standing.house)",
        "(self._standing.house, self._standing.place)",
        RULES,
    ),
    (POLICY, "if own.aspect or own.size:", "if own.aspect:", RULES),
    (POLICY, "if known is None or self._takes_model(known):", "if known is None or True:", RULES),
    (POLICY, 'if wanted and "relax" not in priorities:', "if False:", RULES),
    (POLICY, 'bool(wanted) or "fast" not in priorities', "bool(wanted)", RULES),
    (POLICY, 'if style not in ("", NO_STYLE) and not', "if not", RULES),
    (POLICY, "if request.upscale == 1 and request.steps > most:", "if request.steps > most:", RULES),
    (
        POLICY,
        "if request.upscale == 1 and request.steps > most:",
        "if request.upscale == 1 and request.steps > most + 1:",
        RULES,
    ),
    (
        POLICY,
        "request.width // request.upscale, request.height // request.upscale",
        "request.width, request.height",
        RULES,
    ),
    (POLICY, "if times <= 1:", "if times <= 2:", RULES),
    (POLICY, "if draft is None or isinstance(draft.source, bytes):", "if draft is None:", RULES),
    # ---- strictness and terms
    (POLICY, '"strict" in (house.strictness, place.strictness)', 'place.strictness == "strict"', RULES),
    (POLICY, '"strict" in (house.strictness, place.strictness)', 'house.strictness == "strict"', RULES),
    (POLICY, '"relaxed" if place.strictness == "relaxed" else "standard"', '"standard"', RULES),
    (POLICY, "            adult=adult,\n", "            adult=False,\n", RULES),
    (POLICY, "(*house.refused_terms, *place.refused_terms)", "place.refused_terms", RULES),
    (POLICY, "(*house.refused_terms, *place.refused_terms)", "house.refused_terms", RULES),
    (POLICY, "(*house.allowed_terms, *place.allowed_terms)", "place.allowed_terms", RULES),
    (POLICY, "(*house.allowed_terms, *place.allowed_terms)", "house.allowed_terms", RULES),
    # ---- budgets
    (POLICY, '"this place", place.budget)', '"this place", house.budget)', RULES),
    (POLICY, '"all of Easel", house.budget)', '"all of Easel", place.budget)', RULES),
    (POLICY, "place.channel_budgets.get(channel))", "place.budget)", RULES),
    (POLICY, 'f"budget:{tenant}/{channel}"', 'f"budget:{channel}"', RULES),
    # ---- admission
    (ADMISSION, "budgets=budgets, periods=rules.periods", "budgets=(), periods=rules.periods", DOOR),
    (ADMISSION, "budgets=budgets, periods=rules.periods", "budgets=budgets", DOOR),
    (ADMISSION, "0 if balance.name else gift)", "gift)", DOOR),
    (ADMISSION, 'sum(balance.left for balance in found if balance.name == "gift")', "0", DOOR),
    (ADMISSION, 'if balance.name != "gift"]', "]", DOOR),
    (ADMISSION, "if ask.draft and not isinstance(ask.draft.source, bytes):", "if ask.draft:", DOOR),
    (ADMISSION, "if 0 < count < job.request.count:", "if 0 <= count < job.request.count:", DOOR),
    (ADMISSION, "<= balance.left:\n", "<= balance.cap:\n", DOOR),
    (ADMISSION, 'elif ask.relaxing and "relax" in rules.tier.priorities:', "elif ask.relaxing:", DOOR),
    (ADMISSION, "            return\n", "", DOOR),
    (ADMISSION, "if not offers and job.estimate > balance.cap:", "if not offers:", DOOR),
    # ---- strikes and reports
    (REVIEWS, "HOUSE if category == moderation.MINORS else member.tenant", "member.tenant", TOLD),
    (REVIEWS, "HOUSE if category == moderation.MINORS else member.tenant", "HOUSE", TOLD),
    (REVIEWS, "        if verdict.certain:\n", "        if True:\n", TOLD),
    (REVIEWS, "        if verdict.certain:\n", "        if False:\n", TOLD),
    (REVIEWS, 'key = f"{origin.surface}/{origin.event}"', 'key = f"{id(origin)}/{datetime.now()}"', TOLD),
    (REVIEWS, "(request.negative_prompt,), rules", "(), rules", TOLD),
    (REVIEWS, "(typed, request.prompt), (", "(typed,), (", TOLD),
    (REVIEWS, "        await self._tell(origin)\n", "", TOLD),
    (REVIEWS, "category=category, told=True)", "category=category)", TOLD),
    (REVIEWS, "telemetry.REFUSED.labels(verdict.category).inc()", "pass", TOLD),
    (REVIEWS, "if job.state is not State.RENDERED:", "if False:", TOLD),
    (
        REVIEWS,
        "if job.origin.member.id in await self._store.sharing(origin.member.id):",
        "if job.origin.member.id == origin.member.id and False:",
        TOLD,
    ),
    (REVIEWS, '"" if everywhere else origin.member.tenant', '""', TOLD),
    (REVIEWS, "if not (origin.member.admin or everywhere):", "if False:", TOLD),
    (REVIEWS, "everywhere or job.origin.member.tenant == origin.member.tenant)", "True)", TOLD),
    (REVIEWS, "        if job.state is State.DELETED:", "        if False:", TOLD),
    (REVIEWS, '        if decision == "remove":', "        if True:", TOLD),
    (
        REVIEWS,
        "            self._show(replace(job, state=State.DELETED, delivered=None))",
        "            pass",
        TOLD,
    ),
]
