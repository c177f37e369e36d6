"""What is left of allowances, gifts and budgets together: one number, told the same way everywhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from bot.i18n import _, ngettext
from bot.models import Balance, Period


def tightest(balances: Iterable[Balance]) -> Balance | None:
    """Return the allowance or budget with the least left, which limits a request; None without any.

    Gifts add to what is left of an allowance, but not of a budget.
    """
    found = list(balances)
    gift = sum(balance.left for balance in found if balance.name == "gift")
    limits = [balance for balance in found if balance.name != "gift"]
    if not limits:
        return None
    least = min(limits, key=lambda balance: balance.left + (0 if balance.name else gift))
    return least if least.name else replace(least, cap=least.cap + gift)


def affordable(balances: Iterable[Balance]) -> float:
    """Return the device-seconds that one request may cost: allowances or gifts pay all of it, budgets too."""
    found = list(balances)
    gift = sum(balance.left for balance in found if balance.name == "gift")
    own = min((balance.left for balance in found if not balance.name), default=math.inf)
    shared = (balance.left for balance in found if balance.name not in ("", "gift"))
    return min(max(own, gift), *shared, math.inf)


def images_left(balances: Iterable[Balance], cost: float) -> str:
    """Tell how many ordinary images of `cost` device-seconds each are left: "about 40 images left today".

    Empty where nothing limits them.
    """
    found = list(balances)
    limit, seconds = tightest(found), affordable(found)
    if limit is None or not cost or math.isinf(seconds):
        return ""
    count = int(seconds / cost + 1e-6)
    return _left(limit.per, count) if count else _NONE_LEFT[limit.per]


def _left(per: Period | None, count: int) -> str:
    match per:
        case "hour":
            return ngettext(
                "about {count} image left this hour", "about {count} images left this hour", count
            )
        case "day":
            return ngettext("about {count} image left today", "about {count} images left today", count)
        case "week":
            return ngettext(
                "about {count} image left this week", "about {count} images left this week", count
            )
        case "month":
            return ngettext(
                "about {count} image left this month", "about {count} images left this month", count
            )
    return ngettext("about {count} image left", "about {count} images left", count)


_NONE_LEFT: Mapping[Period | None, str] = {
    None: _("no image left"),
    "hour": _("no image left this hour"),
    "day": _("no image left today"),
    "week": _("no image left this week"),
    "month": _("no image left this month"),
}
