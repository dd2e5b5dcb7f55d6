"""Options that commands share, and what they mean."""

from __future__ import annotations

import argparse

from quant_core.errors import ArgumentError
from quant_core.plan import PRESETS, Plan, check_plan, preset_plan, read_plan
from quant_core.study import EXECUTIONS, KINDS, OPENING_SECONDS, PREPROCESSING, TASKS, Source, Study


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="path of an .onnx file, or sample:NAME")
    add_patience(parser)


def add_patience(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--patience",
        metavar="S",
        type=_seconds,
        default=OPENING_SECONDS,
        help=f"seconds after which a model that does not open is given up ({OPENING_SECONDS:.0f})",
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_samples(parser)


def add_samples(parser: argparse.ArgumentParser, required: bool = False) -> None:
    parser.add_argument("--data", metavar="D", required=required, help=f"{KINDS}, or sample:NAME")
    parser.add_argument(
        "--calibration",
        metavar="none|N|PATH|generated:N",
        help="what ranges are measured on (default: a fifth of the samples); generated: made-up inputs",
    )
    parser.add_argument(
        "--preprocess",
        metavar="P",
        help=f"for images: {', '.join(PREPROCESSING)}, with +bgr or +stretch if wanted, or a JSON file",
    )
    parser.add_argument("--samples", metavar="N", type=int, help="evaluate only this many samples")
    parser.add_argument("--task", metavar="T", help=f"what is measured, unless guessed: {', '.join(TASKS)}")
    parser.add_argument(
        "--outputs", metavar="O", help="the output that decides, or scores=NAME,boxes=NAME[,format=centres]"
    )
    parser.add_argument(
        "--size",
        metavar="DIM=N",
        action="append",
        help="the size of a free dimension, by its name or as x[1]",
    )
    parser.add_argument("--tokenizer", metavar="F", help="for text: the tokenizer.json of the model")
    parser.add_argument("--rate", metavar="HZ", type=int, help="for sound: the rate the model was trained on")
    parser.add_argument("--boxes", metavar="F", help="for detectors: XML files with the boxes of the images")


def add_plan(parser: argparse.ArgumentParser) -> None:
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--preset", help=", ".join(PRESETS))
    chosen.add_argument("--plan", metavar="F", help="a plan file")
    parser.add_argument(
        "--bias-correction", action="store_true", help="correct the bias of every quantized layer"
    )


def add_execution(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--execution", choices=EXECUTIONS, default="simulated", help="arithmetic in float, or as shipped"
    )


def source_of(options: argparse.Namespace, model: str, data: str | None = None) -> Source:
    """What `options` say of `model` and `data`; a command leaves out options that it does not have."""
    said = vars(options)
    names = ("calibration", "preprocess", "samples", "task", "outputs", "tokenizer", "rate", "boxes")
    sizes = ",".join(said.get("size") or ()) or None
    return Source(model, data, sizes=sizes, **{name: said.get(name) for name in names})


def plan_of(options: argparse.Namespace, study: Study) -> Plan:
    plan = preset_plan(study.graph, options.preset) if options.preset else read_plan(options.plan)
    check_plan(study.graph, plan)
    return plan.with_bias_correction() if options.bias_correction else plan


def formats_of(options: argparse.Namespace) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in options.formats.split(",") if name.strip()))


def byte_limit(text: str, bytes_fp32: int) -> int:
    share = text.strip().endswith("%")
    try:
        number = float(text.strip().rstrip("%"))
    except ValueError:
        number = -1.0
    if not 0 < number < 1e15:
        raise ArgumentError(f"--max-bytes is '{text}'", "give bytes such as 100000, or a share such as 25%")
    return int(bytes_fp32 * number / 100) if share else int(number)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number < 1e9:
        raise ArgumentError(f"--patience is '{text}'", "give a number of seconds above 0")
    return number
