"""Made-up product reviews, one or two opinions each, and the tokenizer that reads them.

An opinion is good or bad by its adjective and by what turns it round: 'not', 'anything but', 'hardly',
'it is not true that'. A review whose opinions are all good is positive, all bad negative, else mixed. Of
the words 2 in 100 are misspelt, as people do, and then unknown to the tokenizer."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

LENGTH = 40  # tokens of a review, with [CLS] and [SEP]
CLASSES = ("negative", "mixed", "positive")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
NONE = -100  # the mood of a word in no opinion; what cross_entropy leaves out
TYPOS = 0.02  # share of words that are misspelt
TURNED = 0.4  # share of opinions that say the opposite of their adjective

_THINGS = [
    "battery",
    "screen",
    "sound",
    "strap",
    "delivery",
    "price",
    "keyboard",
    "camera",
    "handle",
    "cover",
    "motor",
    "filter",
    "lid",
    "cable",
    "charger",
    "zipper",
    "fabric",
    "sole",
    "blade",
    "lamp",
    "speaker",
    "button",
    "hinge",
    "lens",
    "manual",
    "packaging",
    "colour",
    "size",
    "weight",
    "service",
]
_GOOD = [
    "great",
    "excellent",
    "sharp",
    "solid",
    "clear",
    "comfortable",
    "fast",
    "reliable",
    "quiet",
    "bright",
    "elegant",
    "sturdy",
    "precise",
    "gentle",
    "generous",
    "handy",
    "smooth",
    "fair",
    "superb",
    "lovely",
    "robust",
    "clever",
    "tidy",
    "pleasant",
]
_BAD = [
    "awful",
    "terrible",
    "blurry",
    "flimsy",
    "dull",
    "uncomfortable",
    "slow",
    "unreliable",
    "noisy",
    "dim",
    "ugly",
    "shaky",
    "crude",
    "harsh",
    "stingy",
    "clumsy",
    "rough",
    "overpriced",
    "horrible",
    "nasty",
    "brittle",
    "stupid",
    "messy",
    "annoying",
]
_HOW = ("", "", "", "very", "really", "quite", "rather", "truly", "so")
_NEUTRAL = (
    "i bought it for my {who}",
    "it came in a {box} box",
    "we use it every {when}",
    "my {who} has had one for years",
    "it arrived one {when}",
    "i have owned the old one too",
)
_WHO = ["mother", "father", "sister", "brother", "friend", "neighbour", "daughter", "son"]
_BOX = ["red", "blue", "green", "white", "black", "brown"]
_WHEN = ["monday", "tuesday", "friday", "morning", "evening", "weekend", "summer", "winter"]
# {a} is an adjective that says what is meant, {z} one that says the opposite.
_STRAIGHT = (
    "the {t} is {h} {a}",
    "i find the {t} {h} {a}",
    "what a {a} {t}",
    "the {t} has always been {h} {a}",
    "people say the {t} is {a} , and they are right",
    "the {t} is not only {a} but {h} {b}",
    "i cannot say that the {t} is not {a}",
    "the {t} is {h} {a} , not {z}",
)
_TURNED = (
    "the {t} is not {h} {z}",
    "the {t} is anything but {z}",
    "the {t} is hardly {z}",
    "nobody would call the {t} {z}",
    "i never found the {t} {z}",
    "people say the {t} is {z} , but they are wrong",
    "it is not true that the {t} is {h} {z}",
    "i expected the {t} to be {z} , and i was wrong",
    "the {t} is far from {z}",
    "it is not true that the {t} is not {h} {a}",
)


@dataclass(frozen=True)
class Reviews:
    """Texts, their classes int64 [reviews], and for each word the mood of its opinion: 1 good, 0 bad,
    `NONE` else."""

    texts: list[str]
    labels: NDArray[np.int64]
    moods: list[list[int]]


def make_reviews(count: int, seed: int) -> Reviews:
    """`count` different reviews, as many of each class."""
    draw = random.Random(seed)
    found: dict[str, list[int]] = {}
    while len(found) < count:
        text, moods = _review(draw, len(found) % len(CLASSES))
        found.setdefault(text, moods)
    labels = np.arange(count, dtype=np.int64) % len(CLASSES)
    return Reviews(list(found), labels, list(found.values()))


def _review(draw: random.Random, label: int) -> tuple[str, list[int]]:
    count = 2 if label == 1 else draw.choice((1, 1, 2))
    good = [label == 2] * count
    if label == 1:
        good[draw.randrange(count)] = True
    parts = [
        (_opinion(draw, thing, mood), int(mood))
        for thing, mood in zip(draw.sample(_THINGS, count), good, strict=True)
    ]
    if draw.random() < 0.5:
        aside = draw.choice(_NEUTRAL)
        text = aside.format(who=draw.choice(_WHO), box=draw.choice(_BOX), when=draw.choice(_WHEN))
        parts.append((text, NONE))
    draw.shuffle(parts)
    words: list[str] = []
    moods: list[int] = []
    for i, (text, mood) in enumerate(parts):
        between = draw.choice((".", ",", "and", ";", ", but")).split() if i else []
        words += [*between, *text.split()]
        moods += [NONE] * len(between) + [mood] * len(text.split())
    return " ".join(_misspelt(draw, word) for word in [*words, "."]), [*moods, NONE]


def _opinion(draw: random.Random, thing: str, good: bool) -> str:
    meant, opposite = (_GOOD, _BAD) if good else (_BAD, _GOOD)
    a, b = draw.sample(meant, 2)
    pattern = draw.choice(_TURNED if draw.random() < TURNED else _STRAIGHT)
    return pattern.format(t=thing, h=draw.choice(_HOW), a=a, b=b, z=draw.choice(opposite))


def _misspelt(draw: random.Random, word: str) -> str:
    if len(word) < 4 or draw.random() >= TYPOS:
        return word
    at = draw.randrange(len(word) - 1)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def make_tokenizer(texts: list[str]) -> Tokenizer:
    """A tokenizer of whole words, in lower case, over the words that `texts` hold at least five times."""
    count: dict[str, int] = {}
    for text in texts:
        for word in text.split():
            count[word] = count.get(word, 0) + 1
    words = sorted(word for word, times in count.items() if times >= 5)
    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate((*SPECIAL, *words))}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, SPECIAL.index(name)) for name in ("[CLS]", "[SEP]")]
    )
    return tokenizer


def encode(tokenizer: Tokenizer, texts: list[str]) -> dict[str, NDArray[np.int64]]:
    """Token indices and attention mask (1 where a token is), both int64 [samples, LENGTH]."""
    tokenizer.no_padding()
    tokenizer.enable_truncation(LENGTH)
    ids = np.zeros((len(texts), LENGTH), np.int64)
    mask = np.zeros_like(ids)
    for row, found in enumerate(tokenizer.encode_batch(texts)):
        ids[row, : len(found.ids)], mask[row, : len(found.ids)] = found.ids, 1
    tokenizer.no_truncation()
    return {"input_ids": ids, "attention_mask": mask}


def word_moods(reviews: Reviews) -> NDArray[np.int64]:
    """The mood of each token, int64 [reviews, LENGTH]. Words and tokens are the same, behind [CLS]."""
    moods = np.full((len(reviews.texts), LENGTH), NONE, np.int64)
    for row, found in enumerate(reviews.moods):
        moods[row, 1 : len(found) + 1] = found[: LENGTH - 1]
    return moods


def save_tokenizer(tokenizer: Tokenizer, path: Path) -> None:
    """Write the tokenizer.json."""
    path.write_text(tokenizer.to_str(pretty=True) + "\n", encoding="utf-8")
