"""What may be painted: words before the queue, pictures before they are shown."""

from bot.moderation.images import Classifier, Eyes, NotSeen, Rating, Seen, Unseeing, Withheld, rate
from bot.moderation.terms import STRICTNESS, Strictness
from bot.moderation.text import LIKENESS, MINORS, NOTICES, OWN, Rules, Verdict, judge

__all__ = [
    "LIKENESS",
    "MINORS",
    "NOTICES",
    "OWN",
    "STRICTNESS",
    "Classifier",
    "Eyes",
    "NotSeen",
    "Rating",
    "Rules",
    "Seen",
    "Strictness",
    "Unseeing",
    "Verdict",
    "Withheld",
    "judge",
    "rate",
]
