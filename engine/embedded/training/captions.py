"""Words for drawings: names, styles, colours, and sentences that say what a picture shows."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Sequence

from engine.embedded.training.data import Concept

STYLE_WORDS: dict[str, tuple[str, ...]] = {
    "3d": ("3d",),
    "fluent": ("fluent", "glossy"),
    "flat": ("flat",),
    "noto": ("noto",),
    "noto-v1": ("noto v1", "blob"),
    "fxemoji": ("firefox",),
    "twemoji": ("twemoji", "clip art"),
    "emojione": ("emojione", "clip art"),
    "streamline": ("streamline", "outline"),
}
# A prompt without a style word gets one family of shapes, so that it stays one clear picture.
UNSTYLED = frozenset({"3d", "fluent", "flat"})

# How often each style is drawn while training.
STYLE_WEIGHTS: dict[str, float] = {
    "3d": 4.0,
    "fluent": 1.5,
    "flat": 2.0,
    "noto": 1.4,
    "noto-v1": 0.4,
    "fxemoji": 0.3,
    "twemoji": 1.2,
    "emojione": 0.5,
    "streamline": 0.3,
}

BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "red": (214, 48, 49),
    "orange": (243, 146, 55),
    "yellow": (250, 218, 94),
    "green": (76, 175, 80),
    "light green": (190, 230, 180),
    "blue": (52, 120, 220),
    "light blue": (178, 218, 245),
    "purple": (132, 84, 190),
    "pink": (248, 178, 205),
    "brown": (121, 85, 61),
    "black": (16, 16, 18),
    "grey": (150, 152, 156),
    "beige": (240, 226, 200),
}
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")
NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}

# What people ask for under another name than the label's. The first is the usual short name.
ALIASES: dict[str, tuple[str, ...]] = {
    "automobile": ("car",),
    "hamburger": ("burger",),
    "doughnut": ("donut",),
    "red apple": ("apple",),
    "red heart": ("heart", "love heart"),
    "soccer ball": ("football",),
    "grinning face": ("smiley", "happy face"),
    "slightly smiling face": ("smiley face",),
    "smiling face with sunglasses": ("cool face", "face with sunglasses"),
    "face with tears of joy": ("laughing face", "tears of joy"),
    "crying face": ("sad face",),
    "t-rex": ("dinosaur", "tyrannosaurus"),
    "sauropod": ("long neck dinosaur",),
    "mobile phone": ("phone", "smartphone"),
    "airplane": ("plane", "aeroplane"),
    "wrapped gift": ("gift", "present"),
    "ear of corn": ("corn",),
    "deciduous tree": ("tree",),
    "evergreen tree": ("pine tree", "fir tree"),
    "lady beetle": ("ladybug", "ladybird"),
    "honeybee": ("bee",),
    "baby chick": ("chick",),
    "hot beverage": ("coffee", "cup of coffee", "cup of tea", "cup", "mug"),
    "beer mug": ("beer",),
    "wine glass": ("glass of wine",),
    "soft ice cream": ("ice cream cone",),
    "birthday cake": ("cake",),
    "poultry leg": ("chicken leg",),
    "crescent moon": ("moon",),
    "high voltage": ("lightning", "lightning bolt"),
    "droplet": ("water drop", "drop of water"),
    "fire": ("flame",),
    "pile of poo": ("poop",),
    "alien monster": ("space invader",),
    "flying saucer": ("ufo",),
    "sailboat": ("boat", "sailing boat"),
    "santa claus": ("santa",),
    "cook": ("chef",),
    "bullseye": ("target", "dart board"),
    "game die": ("dice",),
    "gem stone": ("diamond", "gem"),
    "top hat": ("hat",),
    "t-shirt": ("shirt",),
    "necktie": ("tie",),
    "running shoe": ("shoe", "sneaker"),
    "closed book": ("book",),
    "locked": ("lock", "padlock"),
    "three o'clock": ("clock",),
    "hourglass done": ("hourglass",),
    "video game": ("game controller",),
    "couch and lamp": ("couch", "sofa"),
    "ringed planet": ("planet", "saturn"),
    "globe showing europe-africa": ("earth", "globe"),
    "eggplant": ("aubergine",),
    "french fries": ("fries", "chips"),
    "police officer": ("policeman",),
    "mage": ("wizard",),
    "snowman without snow": ("snowman",),
    "cherry blossom": ("pink flower",),
    "hibiscus": ("flower", "blossom"),
    "tangerine": ("orange fruit",),
    "skull and crossbones": ("crossbones",),
    "passenger ship": ("cruise ship",),
    "magnifying glass tilted left": ("magnifying glass",),
    "musical keyboard": ("piano",),
    "black cat": ("black cat",),
    "cut of meat": ("steak",),
    "spiral shell": ("shell",),
    "camping": ("camp",),
    "desktop computer": ("computer",),
    "racing car": ("race car",),
    "delivery truck": ("truck",),
    "fire engine": ("fire truck",),
    "bus": ("school bus",),
    "locomotive": ("steam train",),
    "chequered flag": ("checkered flag",),
    "high-heeled shoe": ("high heel",),
    "billed cap": ("cap",),
    "clutch bag": ("pouch",),
    "glass of milk": ("milk",),
    "pot of food": ("soup",),
}

COMMON_WEIGHT = 1.3
# Seen COMMON_WEIGHT times as often, and the only ones in pairs and counts.
COMMON = frozenset(
    "grinning face|grinning face with smiling eyes|slightly smiling face|winking face"
    "|face with tears of joy|smiling face with heart-eyes|smiling face with sunglasses"
    "|thinking face|sleeping face|crying face|loudly crying face|angry face|enraged face"
    "|face with tongue|nerd face|partying face|cowboy hat face|neutral face|exploding head"
    "|smiling face with halo|smiling face with horns|face blowing a kiss|skull|pile of poo"
    "|clown face|ghost|alien|alien monster|robot|red heart|broken heart|blue heart|green heart"
    "|yellow heart|purple heart|black heart|sparkling heart|thumbs up|thumbs down|waving hand"
    "|clapping hands|flexed biceps|victory hand|ok hand|eye|eyes|brain|baby|boy|girl|man|woman"
    "|old man|old woman|astronaut|cook|firefighter|police officer|detective|ninja|princess"
    "|prince|santa claus|superhero|mage|fairy|vampire|mermaid|zombie|monkey face|monkey|gorilla"
    "|dog face|dog|poodle|wolf|fox|raccoon|cat face|cat|black cat|lion|tiger face|tiger"
    "|horse face|horse|unicorn|zebra|deer|cow face|cow|pig face|pig|goat|camel|giraffe|elephant"
    "|mouse face|rabbit face|rabbit|hamster|bat|bear|koala|panda|kangaroo|chicken|rooster"
    "|baby chick|bird|penguin|eagle|duck|swan|owl|flamingo|parrot|frog|crocodile|turtle|snake"
    "|dragon|t-rex|sauropod|whale|dolphin|fish|tropical fish|shark|octopus|spiral shell|crab"
    "|snail|butterfly|bug|ant|honeybee|lady beetle|spider|hedgehog|bouquet|cherry blossom|rose"
    "|hibiscus|sunflower|tulip|seedling|evergreen tree|deciduous tree|palm tree|cactus"
    "|four leaf clover|maple leaf|mushroom|grapes|watermelon|tangerine|lemon|banana|pineapple"
    "|red apple|green apple|pear|peach|cherries|strawberry|tomato|coconut|avocado|eggplant"
    "|carrot|ear of corn|hot pepper|broccoli|bread|croissant|pretzel|cheese wedge|hamburger"
    "|french fries|pizza|hot dog|taco|egg|popcorn|sushi|soft ice cream|ice cream|doughnut"
    "|cookie|birthday cake|cupcake|lollipop|candy|hot beverage|wine glass|beer mug|teapot"
    "|globe showing europe-africa|mountain|volcano|camping|house|house with garden|castle"
    "|church|tent|office building|ferris wheel|locomotive|train|bus|ambulance|fire engine"
    "|police car|taxi|automobile|racing car|delivery truck|tractor|motorcycle|bicycle|anchor"
    "|sailboat|ship|airplane|helicopter|rocket|flying saucer|alarm clock|hourglass done"
    "|crescent moon|full moon|sun|sun with face|star|glowing star|ringed planet|cloud|rainbow"
    "|umbrella|high voltage|snowflake|snowman|fire|droplet|water wave|jack-o-lantern"
    "|christmas tree|sparkles|balloon|party popper|wrapped gift|trophy|soccer ball|baseball"
    "|basketball|american football|tennis|bullseye|kite|game die|teddy bear|video game"
    "|artist palette|glasses|sunglasses|t-shirt|jeans|dress|backpack|running shoe"
    "|high-heeled shoe|crown|top hat|graduation cap|ring|gem stone|bell|musical note|guitar"
    "|violin|trumpet|drum|headphone|microphone|mobile phone|laptop|television|camera|candle"
    "|light bulb|closed book|books|envelope|package|money bag|pencil|paintbrush|scissors"
    "|locked|key|hammer|crossed swords|bomb|shield|gear|magnet|microscope|telescope|pill|door"
    "|chair|bathtub|soap|toothbrush|scroll|treasure chest|magic wand|crystal ball|warning"
    "|red circle|blue circle|green circle|yellow circle|red square|blue square|check mark"
    "|cross mark|yin yang|red question mark".split("|")
)

_PLAIN_NOUNS = frozenset({"fire", "bacon", "spaghetti", "bread", "popcorn", "sushi", "ice", "corn",
                          "broccoli", "camping", "tennis", "fog", "coffee", "soup", "lightning",
                          "milk", "beer", "soap", "santa", "santa claus"})  # fmt: skip
_PLURALS = {"mouse": "mice", "wolf": "wolves", "deer": "deer", "fish": "fish", "child": "children",
            "leaf": "leaves", "goose": "geese", "tooth": "teeth", "foot": "feet"}  # fmt: skip
_SINGLES = ("{a}", "{a}", "{n}", "the {n}", "{n} emoji")
# What people put around what they want to see.
_FRAMES = (
    "a picture of {}",
    "a drawing of {}",
    "an image of {}",
    "draw {}",
    "paint me {}",
    "make {}",
    "i want to see {}",
    "generate an image with {}",
    "a nice little picture with {}",
    "{}, simple and clean",
    "{} as a sticker",
    "i would like {}",
)
# Ways to ask that training never uses: evaluation asks in these alone.
UNSEEN = ("an illustration of {}", "please show {}", "can you make {} for me", "a sketch that shows {}")
_STYLED = (
    "{n}, {s} style",
    "{s} {n}",
    "{a} in {s} style",
    "{s} {n} emoji",
)
_BESIDE = (
    "{a} next to {b}",
    "{a} on the left and {b} on the right",
    "{a} to the left of {b}",
    "{a} and {b}",
    "{a} beside {b}",
)
_ABOVE = (
    "{a} above {b}",
    "{a} on top of {b}",
    "{a} over {b}",
    "{a} at the top and {b} at the bottom",
)
_BELOW = ("{b} below {a}", "{b} under {a}")
_RIGHT = ("{b} to the right of {a}",)


def article(noun: str) -> str:
    """Add the article: "cat" → "a cat", "apple" → "an apple"; plurals and substances stay bare."""
    plural = noun.endswith("s") and not noun.endswith(("ss", "us", "cactus", "glass"))
    if plural or noun in _PLAIN_NOUNS or " and " in noun:
        return noun
    vowel = noun.startswith(("a", "e", "i", "o", "u", "hour"))
    return f"an {noun}" if vowel and not noun.startswith(("uni", "eu", "one-")) else f"a {noun}"


def plural(noun: str) -> str:
    """Return the plural: "cat" → "cats", "cherry" → "cherries", "fox" → "foxes", "snowman" → "snowmen"."""
    before, _, last = noun.rpartition(" ")
    if last in _PLURALS:
        return f"{before} {_PLURALS[last]}".strip()
    if noun.endswith("man"):
        return f"{noun[:-3]}men"
    if noun.endswith("s") and not noun.endswith(("ss", "us")):
        return noun
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def uncoloured(name: str) -> str:
    """Return the noun without a leading colour word: "red heart" → "heart"."""
    first, _, rest = name.partition(" ")
    return rest if first in COLOURS and rest else name


def short_name(name: str) -> str:
    """Return what people call a concept: "automobile" → "car"."""
    return ALIASES.get(name, (name,))[0]


def names(concept: Concept) -> list[str]:
    """Return every noun for one concept, the label first."""
    return list(dict.fromkeys([concept.name, *ALIASES.get(concept.name, ())]))


def unique_tags(table: Sequence[Concept]) -> dict[str, tuple[str, ...]]:
    """Return at most two tags for each concept that no other concept has as a tag or a name."""
    counts = Counter(tag for concept in table for tag in set(concept.tags))
    taken = {concept.name for concept in table} | {a for v in ALIASES.values() for a in v}
    return {
        concept.name: tuple(
            tag for tag in concept.tags if counts[tag] == 1 and tag not in taken and len(tag) > 2
        )[:2]
        for concept in table
    }


def single(noun: str, style: str, rng: random.Random) -> str:
    """Describe one drawing in its style; drawings of the default family may leave the style unsaid."""
    if style in UNSTYLED and rng.random() < 0.5:
        return framed(rng.choice(_SINGLES).format(n=noun, a=article(noun)), rng)
    return styled(noun, style, rng)


def styled(noun: str, style: str, rng: random.Random) -> str:
    """Describe one drawing, always with its style."""
    word = rng.choice(STYLE_WORDS[style])
    if word == "clip art":
        return f"clip art of {article(noun)}"
    return rng.choice(_STYLED).format(n=noun, a=article(f"{noun}"), s=word)


def framed(text: str, rng: random.Random, share: float = 0.3) -> str:
    """Return a sentence; in a `share` of cases with the words that people put around it."""
    return rng.choice(_FRAMES).format(text) if rng.random() < share else text


def with_style(text: str, style: str, rng: random.Random) -> str:
    """Return a sentence with the style added; styles in UNSTYLED are left out half of the time."""
    if style in UNSTYLED and rng.random() < 0.5:
        return text
    word = rng.choice(STYLE_WORDS[style])
    return f"clip art of {text}" if word == "clip art" else f"{text}, {word} style"


def on_ground(text: str, ground: str) -> str:
    return f"{text} on {article(ground)} background"


def beside(left: str, right: str, rng: random.Random) -> str:
    """Describe two things side by side; when the sentence keeps an order, it is left then right."""
    template = rng.choice(_BESIDE + _RIGHT)
    return framed(template.format(a=article(left), b=article(right)), rng)


def above(top: str, bottom: str, rng: random.Random) -> str:
    """Describe two things, one above the other."""
    return framed(rng.choice(_ABOVE + _BELOW).format(a=article(top), b=article(bottom)), rng)


def counted(noun: str, count: int) -> str:
    return f"{NUMBERS[count]} {plural(noun)}"


def held_out(concept: str, style: str, styles_of_concept: int) -> bool:
    """Tell whether a drawing is kept aside: about one in forty, none of a concept with few drawings."""
    if styles_of_concept < 5:
        return False
    digest = hashlib.sha256(f"{concept}|{style}".encode()).digest()
    return digest[0] % 40 == 7


def every_phrase() -> Iterator[str]:
    """Yield all words that captions put around nouns."""
    for templates in (_SINGLES, _FRAMES, UNSEEN, _STYLED, _BESIDE, _ABOVE, _BELOW, _RIGHT):
        yield from templates
    yield from (word for words in STYLE_WORDS.values() for word in words)
    yield " ".join([*COLOURS, *BACKGROUNDS, *NUMBERS.values(), "a an the on of background style"])
