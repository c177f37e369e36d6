"""Jobs, the ledger, accounts and preferences. The only package that speaks to a database."""

from bot.store.database import DatabaseFacts, look_at, original_at, pictures_at
from bot.store.identities import LinkRefused, TooSoon
from bot.store.installations import Installations
from bot.store.ledger import OverQuota
from bot.store.money import OverBudget
from bot.store.people import Blocked
from bot.store.store import Store, TooManyWaiting

__all__ = [
    "Blocked",
    "DatabaseFacts",
    "Installations",
    "LinkRefused",
    "OverBudget",
    "OverQuota",
    "Store",
    "TooManyWaiting",
    "TooSoon",
    "look_at",
    "original_at",
    "pictures_at",
]
