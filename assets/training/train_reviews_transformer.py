"""Train the sample `reviews-transformer`: a small encoder in the manner of BERT that reads made-up reviews.

Run from the root of the repository: `python assets/training/train_reviews_transformer.py` (some minutes).
"""

from __future__ import annotations

import numpy as np
import torch
from common import SAMPLES, SEED, export, save_arrays, seed_everything, write_card
from numpy.typing import NDArray
from reviews import CLASSES, LENGTH, encode, make_reviews, make_tokenizer, save_tokenizer, word_moods
from torch import nn

NAME = "reviews-transformer"
OUTPUT = "logits"
WIDTH, HEADS, INNER, DEPTH = 96, 4, 384, 3
COUNTS = {"train": 9000, "calibration": 200, "evaluation": 800}
EPOCHS, BATCH, PEAK_RATE = 16, 32, 8e-4
FAR = -1e4  # added to the score of a token that is padding


class Attention(nn.Module):
    """Multi-head attention: softmax(q k' / sqrt(d)) v (Vaswani et al. 2017, equation 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        """Tokens [samples, tokens, width]; padding [samples, 1, 1, tokens] is added to the scores."""
        query, key, value = (
            part(x).reshape(-1, int(x.shape[1]), HEADS, WIDTH // HEADS)
            for part in (self.query, self.key, self.value)
        )
        scores = query.transpose(1, 2) @ key.permute(0, 2, 3, 1) * (WIDTH // HEADS) ** -0.5
        mixed = torch.softmax(scores + padding, dim=-1) @ value.transpose(1, 2)
        out: torch.Tensor = self.out(mixed.transpose(1, 2).reshape(-1, int(x.shape[1]), WIDTH))
        return out


class Block(nn.Module):
    """Attention and two linear layers with GELU, each with its residual and LayerNorm behind it, as in
    BERT."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.up, self.gelu, self.down = nn.Linear(WIDTH, INNER), nn.GELU(), nn.Linear(INNER, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        """Tokens [samples, tokens, width] to the same."""
        x = self.attention_norm(x + self.dropout(self.attention(x, padding)))
        out: torch.Tensor = self.norm(x + self.dropout(self.down(self.gelu(self.up(x)))))
        return out


class Encoder(nn.Module):
    """Embedding of words and places, blocks, and a classifier on the first token, [CLS]."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, WIDTH)
        self.places = nn.Parameter(torch.randn(1, LENGTH, WIDTH) * 0.1)
        self.norm = nn.LayerNorm(WIDTH)
        for index in range(1, DEPTH + 1):
            self.add_module(f"block{index}", Block())
        self.pooler, self.classifier = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, len(CLASSES))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Token indices and mask, int64 [samples, tokens], to logits [samples, classes]."""
        logits: torch.Tensor = self.classifier(
            torch.tanh(self.pooler(self.read(input_ids, attention_mask)[:, 0]))
        )
        return logits

    def read(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Token indices and mask, int64 [samples, tokens], to what each token stands for [samples,
        tokens, width]."""
        padding = (1.0 - attention_mask.float())[:, None, None, :] * FAR
        x = self.norm(self.embedding(input_ids) + self.places[:, : int(input_ids.shape[1])])
        for index in range(1, DEPTH + 1):
            x = getattr(self, f"block{index}")(x, padding)
        return x


def train(
    model: Encoder, arrays: dict[str, NDArray[np.int64]], labels: NDArray[np.int64], moods: NDArray[np.int64]
) -> None:
    """Train with AdamW and one cycle of the learning rate; leaves the model in inference mode.

    Beside the classes it learns whether each word stands in a good or a bad opinion, which is not
    exported."""
    ids, mask = (torch.from_numpy(arrays[name]) for name in ("input_ids", "attention_mask"))
    wanted, felt, lengths = torch.from_numpy(labels), torch.from_numpy(moods), mask.sum(dim=1)
    mood = nn.Linear(WIDTH, 2)
    steps = len(labels) // BATCH
    optimizer = torch.optim.AdamW([*model.parameters(), *mood.parameters()], lr=PEAK_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, epochs=EPOCHS, steps_per_epoch=steps, pct_start=0.2
    )
    model.train()
    for epoch in range(EPOCHS):
        # Batches of about equal length, in random order: short ones need no padding.
        order = torch.randperm(len(labels))
        order = order[torch.argsort(lengths[order] // 4, stable=True)]
        total = 0.0
        for step in torch.randperm(steps).tolist():
            rows = order[step * BATCH : (step + 1) * BATCH]
            longest = int(lengths[rows].max())
            x = model.read(ids[rows, :longest], mask[rows, :longest])
            logits = model.classifier(torch.tanh(model.pooler(x[:, 0])))
            each = nn.functional.cross_entropy(mood(x).transpose(1, 2), felt[rows, :longest])
            loss = nn.functional.cross_entropy(logits, wanted[rows]) + each
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}/{EPOCHS}: loss {total / steps:.4f}", flush=True)
    model.eval()


def main() -> None:
    """Train, export and write the sample's folder."""
    seed_everything()
    reviews = make_reviews(sum(COUNTS.values()), SEED)
    texts, labels = reviews.texts, reviews.labels
    ends = np.cumsum(list(COUNTS.values()))
    parts = dict(zip(COUNTS, np.split(np.arange(len(texts)), ends[:-1]), strict=True))
    tokenizer = make_tokenizer([texts[i] for i in parts["train"]])
    arrays = encode(tokenizer, texts)
    model = Encoder(tokenizer.get_vocab_size())
    train(
        model,
        {k: v[parts["train"]] for k, v in arrays.items()},
        labels[parts["train"]],
        word_moods(reviews)[parts["train"]],
    )

    folder = SAMPLES / NAME
    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(tokenizer, folder / "tokenizer.json")
    examples = {name: torch.from_numpy(array[:2]) for name, array in arrays.items()}
    export(model, examples, OUTPUT, folder / "model.onnx", fold_constants=True)
    for part in ("calibration", "evaluation"):
        rows = parts[part]
        held = {**{k: v[rows] for k, v in arrays.items()}, "labels": labels[rows]}
        save_arrays(folder / f"{part}.npz", held)
    lines = [f"{texts[i]}\t{labels[i]}" for i in parts["evaluation"]]
    (folder / "evaluation.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    card = {
        "name": NAME,
        "title": "Product reviews, small transformer",
        "task": "classification",
        "description": f"An encoder in the manner of BERT: embedding, {DEPTH} blocks of {HEADS}-head "
        f"attention and "
        "GELU with LayerNorm, and a classifier on the first token. Says whether a review is negative, "
        "mixed or "
        "positive; 'not', 'hardly' or 'anything but' turn an opinion round, so words must attend to "
        "each other.",
        "data": "Generated: no person wrote these reviews. A seeded script (assets/training/reviews.py) "
        "puts one "
        "or two opinions together from patterns and word lists, and misspells 2 words in 100, which become "
        f"[UNK]. {COUNTS['train']:,} reviews to train on, {COUNTS['calibration']} to calibrate on, "
        f"{COUNTS['evaluation']} to evaluate on, all different. evaluation.txt holds the evaluation "
        f"reviews as "
        "text, tokenizer.json the words.",
        "licence": "Data and model: Apache-2.0, generated and trained by scripts of this repository.",
        "metric_name": "top-1",
        "input": {"name": "input_ids", "shape": ["N", LENGTH], "dtype": "int64",
                  "range": [0, tokenizer.get_vocab_size() - 1]},
        "samples": {part: COUNTS[part] for part in ("calibration", "evaluation")},
        "constructed": None,
        "class_names": list(CLASSES),
    }  # fmt: skip
    write_card(folder, card, model)


if __name__ == "__main__":
    main()
