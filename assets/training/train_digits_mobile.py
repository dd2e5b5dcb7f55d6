"""Train the sample `digits-mobile`: inverted residual blocks as in MobileNetV2 (Sandler et al. 2018).

Run from the root of the repository: `python assets/training/train_digits_mobile.py` (about a minute).
"""

from __future__ import annotations

import torch
from common import SEED, seed_everything
from digits import load_data, train, write_sample
from torch import nn

# channels out, expansion, stride of each block
BLOCKS = ((16, 3, 1), (16, 3, 1), (24, 3, 2), (24, 3, 1), (24, 3, 1), (32, 3, 2), (32, 3, 1), (32, 3, 1))
STEM, HEAD = 16, 96
EPSILON = 1e-8  # of the BatchNorm behind a depthwise convolution: small, so that variances can be rescaled

# Exponents of the powers of two by which single channels are rescaled, by block: some blocks stay robust,
# some become fragile when weights share one scale per tensor (expansion) or have few bits (depthwise).
WEAK_EXPANSION = {1: (7, 4, 2), 2: (6, 4, 3), 3: (6, 4, 2), 4: (3, 2), 6: (7, 5, 3), 8: (5, 3)}
WEAK_DEPTHWISE = {3: (4, 2), 7: (4, 2)}
CONSTRUCTED = (
    "After training, some channels in blocks 1 to 4 and 6 to 8 were rescaled by powers of two, and the layer "
    "behind them by the inverse, so that the network computes the same function but has the very different "
    "channel ranges found in large MobileNets."
)


class Add(nn.Module):
    """A residual connection as a module, so that its node in the file gets a name."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The sum of two tensors of one shape."""
        return x + y


class InvertedResidual(nn.Module):
    """Expand 1 x 1, depthwise 3 x 3, project 1 x 1; with a skip connection where the shapes allow one."""

    def __init__(self, before: int, after: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = before * expansion
        self.expand = nn.Conv2d(before, hidden, 1, bias=False)
        self.expand_bn = nn.BatchNorm2d(hidden)
        self.expand_relu = nn.ReLU()
        self.depthwise = nn.Conv2d(hidden, hidden, 3, stride, padding=1, groups=hidden, bias=False)
        self.depthwise_bn = nn.BatchNorm2d(hidden, eps=EPSILON)
        self.depthwise_relu = nn.ReLU()
        self.project = nn.Conv2d(hidden, after, 1, bias=False)
        self.project_bn = nn.BatchNorm2d(after)
        self.add = Add() if stride == 1 and before == after else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[samples, before, height, width] to [samples, after, height / stride, width / stride]."""
        y = self.expand_relu(self.expand_bn(self.expand(x)))
        y = self.depthwise_relu(self.depthwise_bn(self.depthwise(y)))
        y = self.project_bn(self.project(y))
        return y if self.add is None else self.add(x, y)


class DigitsMobile(nn.Module):
    """Stem, inverted residual blocks, 1 x 1 head, global average pool, linear classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, STEM, 3, padding=1, bias=False)
        self.stem_bn = nn.BatchNorm2d(STEM)
        self.stem_relu = nn.ReLU()
        before = STEM
        for index, (after, expansion, stride) in enumerate(BLOCKS, start=1):
            self.add_module(f"block{index}", InvertedResidual(before, after, expansion, stride))
            before = after
        self.head = nn.Conv2d(before, HEAD, 1, bias=False)
        self.head_bn = nn.BatchNorm2d(HEAD)
        self.head_relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(HEAD, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images [samples, 1, 8, 8] to logits [samples, 10]: the modules in the order they were added."""
        for module in self.children():
            x = module(x)
        return x


@torch.no_grad()
def weaken_expansion(block: InvertedResidual, channel: int, exponent: int) -> None:
    """Divide one channel between expansion and depthwise convolution by 2^exponent; the function stays.

    ReLU and the depthwise convolution pass the factor on, and the statistics of the BatchNorm behind them
    take it out again. Once that BatchNorm is folded, the depthwise weights of this channel are 2^exponent
    times as large as before.
    """
    factor = 0.5**exponent
    block.expand_bn.weight[channel] *= factor
    block.expand_bn.bias[channel] *= factor
    after = block.depthwise_bn
    after.running_mean[channel] *= factor
    after.running_var[channel] = factor**2 * (after.running_var[channel] + after.eps) - after.eps
    if after.running_var[channel] <= 0:
        message = f"channel {channel} has too little variance to be divided by 2^{exponent}"
        raise ValueError(message)


@torch.no_grad()
def weaken_depthwise(block: InvertedResidual, channel: int, exponent: int) -> None:
    """Divide one channel between depthwise convolution and projection by 2^exponent; the function stays.

    The projection multiplies its weights for this channel by 2^exponent.
    """
    factor = 0.5**exponent
    block.depthwise_bn.weight[channel] *= factor
    block.depthwise_bn.bias[channel] *= factor
    block.project.weight[:, channel] /= factor


def construct(model: DigitsMobile) -> None:
    """Give the trained network the channel ranges of large MobileNets without changing what it computes."""
    generator = torch.Generator().manual_seed(SEED)
    for weaken, blocks in ((weaken_expansion, WEAK_EXPANSION), (weaken_depthwise, WEAK_DEPTHWISE)):
        for index, exponents in blocks.items():
            block = model.get_submodule(f"block{index}")
            channels = torch.randperm(block.expand.out_channels, generator=generator)
            for channel, exponent in zip(channels.tolist(), exponents, strict=False):
                weaken(block, channel, exponent)


def main() -> None:
    """Train, export and write the sample's folder."""
    seed_everything()
    data = load_data()
    model = DigitsMobile()
    train(model, data.train, epochs=80)
    construct(model)
    write_sample(
        name="digits-mobile",
        title="Handwritten digits, MobileNet style",
        description="Eight inverted residual blocks in the manner of MobileNetV2: 1 x 1 expansion, 3 x 3 "
        "depthwise convolution, 1 x 1 projection, with BatchNorm and ReLU. Once BatchNorm is folded, one "
        "scale per tensor is not enough for some depthwise layers; one scale per channel is.",
        model=model,
        data=data,
        constructed=CONSTRUCTED,
    )


if __name__ == "__main__":
    main()
