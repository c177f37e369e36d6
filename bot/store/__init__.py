"""The job table, the ledger and people's preferences. The only package that speaks to a database."""

from bot.store.ledger import OverQuota
from bot.store.store import Facts, Store, TooManyWaiting, look_at

__all__ = ["Facts", "OverQuota", "Store", "TooManyWaiting", "look_at"]
