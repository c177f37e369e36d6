"""What may be painted: words before the queue, pictures before they are shown."""

from bot.moderation.images import (
    ImageClassifier,
    MobileNetClassifier,
    NotSeen,
    NullClassifier,
    Rating,
    Scores,
    Withheld,
    rate,
)
from bot.moderation.terms import STRICTNESS, Strictness
from bot.moderation.text import LIKENESS, MINORS, NOTICES, OWN, ModerationRules, TextVerdict, judge

__all__ = [
    "LIKENESS",
    "MINORS",
    "NOTICES",
    "OWN",
    "STRICTNESS",
    "ConceptClassifier",
    "ImageClassifier",
    "MobileNetClassifier",
    "ModerationRules",
    "NotSeen",
    "NullClassifier",
    "Rating",
    "Scores",
    "Strictness",
    "TextVerdict",
    "Withheld",
    "judge",
    "rate",
]
