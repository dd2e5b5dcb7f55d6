"""The labels of files: one sub-folder per class in sorted order, or a table `labels.csv`."""

from __future__ import annotations

import csv
import io
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from quant_core.data.files import Files
from quant_core.errors import DataError

TABLE = "labels.csv"


def labelled_files(files: Files, suffixes: set[str], kind: str) -> tuple[list[str], NDArray[np.int64] | None]:
    """The names of the files of one kind ("images") and their classes `[files]`: those that `labels.csv`
    (columns file,label) names, else those at the top, without labels, else those of each sub-folder.
    DataError where there are none, or where the table does not fit."""
    if files.has(TABLE):
        return _read_table(files)
    flat = files.ending(suffixes)
    if flat:
        return flat, None
    classes = [c for c in files.folders if files.ending(suffixes, c)]
    if not classes:
        raise DataError(
            f"the folder '{files.name}' holds no {kind}", f"use files ending in {', '.join(sorted(suffixes))}"
        )
    pairs = [(name, number) for number, c in enumerate(classes) for name in files.ending(suffixes, c)]
    return [n for n, _ in pairs], np.asarray([number for _, number in pairs], np.int64)


def _read_table(files: Files) -> tuple[list[str], NDArray[np.int64]]:
    remedy = "write the columns file,label with a file name and a whole number in each row"
    names: list[str] = []
    labels: list[int] = []
    try:
        text = files.read(TABLE).decode("utf-8")
        for number, row in enumerate(csv.DictReader(io.StringIO(text, newline="")), start=2):
            if not files.has(row["file"]):
                raise DataError(
                    f"labels.csv names '{row['file']}' in line {number}, which is not in the folder", remedy
                )
            names.append(str(PurePosixPath(row["file"])))
            labels.append(int(row["label"]))
        found = np.asarray(labels, np.int64)
    except (KeyError, TypeError, ValueError, OverflowError, csv.Error) as error:
        raise DataError("labels.csv cannot be read", remedy) from error
    if not names:
        raise DataError("labels.csv names no file", remedy)
    return names, found
