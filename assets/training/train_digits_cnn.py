"""Train the sample `digits-cnn`: a small plain convolutional network, easy to quantize.

Run from the root of the repository: `python assets/training/train_digits_cnn.py` (half a minute).
"""

from __future__ import annotations

import torch
from common import seed_everything
from digits import load_data, train, write_sample
from torch import nn

CHANNELS = (16, 24, 32, 48)


class DigitsCNN(nn.Module):
    """Four times convolution, BatchNorm, ReLU with two max pools in between, then one linear classifier."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, *CHANNELS)
        for index, (before, after) in enumerate(zip(widths, CHANNELS, strict=False), start=1):
            self.add_module(f"conv{index}", nn.Conv2d(before, after, 3, padding=1, bias=False))
            self.add_module(f"bn{index}", nn.BatchNorm2d(after))
            self.add_module(f"relu{index}", nn.ReLU())
            if index in (2, 4):
                self.add_module(f"pool{index // 2}", nn.MaxPool2d(2))
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(CHANNELS[-1] * 2 * 2, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images [samples, 1, 8, 8] to logits [samples, 10]: the modules in the order they were added."""
        for module in self.children():
            x = module(x)
        return x


def main() -> None:
    """Train, export and write the sample's folder."""
    seed_everything()
    data = load_data()
    model = DigitsCNN()
    train(model, data.train, epochs=60)
    write_sample(
        name="digits-cnn",
        title="Handwritten digits, plain CNN",
        description="Four 3 x 3 convolutions with BatchNorm and ReLU, two max pools and a linear classifier. "
        "Small and robust: a good first model to quantize.",
        model=model,
        data=data,
    )


if __name__ == "__main__":
    main()
