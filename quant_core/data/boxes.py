"""Boxes of images, as detectors are measured on: from XML files (dlib, Pascal VOC) or arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from quant_core.data.files import Files, Folder
from quant_core.errors import DataError

Boxes = dict[str, NDArray[np.float64]]  # image name -> [boxes, 5]: x1 y1 x2 y2 in pixels, class
_XML_BYTES = 64 << 20
_Found = tuple[str, str, tuple[float, float, float, float]]  # image, class name, corners


def open_boxes(path: str | Path) -> Boxes:
    """The boxes in the XML file at `path`, or in all XML files of a folder. DataError as `read_boxes`."""
    path = Path(path)
    if path.is_dir():
        return read_boxes(Folder(path))
    if not path.is_file():
        raise DataError(f"there is no file of boxes '{path}'", "check the path")
    return read_boxes(Folder(path.parent), [path.name])


def read_boxes(files: Files, names: list[str] | None = None) -> Boxes:
    """The boxes in XML files: dlib's (`image` with `box`) or Pascal VOC's (one `annotation` an image).

    Classes are numbered from 1 in the sorted order of their names, since most detectors keep 0 for the
    background; all boxes without a name are class 1. Boxes marked `ignore` or `difficult` are left out.
    DataError where a file cannot be read or holds no boxes."""
    names = files.ending({".xml"}) if names is None else names
    found: list[_Found] = []
    images: dict[str, None] = {}
    for name in names:
        content = files.read(name, _XML_BYTES)
        if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
            raise DataError(f"'{name}' declares entities of its own", "leave the declarations out")
        try:
            root = ElementTree.fromstring(content)
            entries = list(_of_voc(root, name) if root.tag == "annotation" else _of_dlib(root))
        except (ElementTree.ParseError, ValueError, KeyError, TypeError, LookupError) as error:
            raise DataError(
                f"'{name}' holds no boxes that can be read", "write them as dlib or Pascal VOC do"
            ) from error
        for image, boxes in entries:
            images[image] = None
            found += boxes
    if not found:
        raise DataError(f"'{files.name}' holds no boxes", "give XML files as dlib or Pascal VOC write them")
    classes = {name: number for number, name in enumerate(sorted({label for _, label, _ in found}), start=1)}
    rows: dict[str, list[tuple[float, ...]]] = {image: [] for image in images}
    for image, label, corners in found:
        rows[image].append((*corners, classes[label]))
    return {image: np.asarray(r, np.float64).reshape(-1, 5) for image, r in rows.items()}


def boxes_from_arrays(name: str, arrays: Mapping[str, NDArray[np.generic]]) -> NDArray[np.float32] | None:
    """Labels `[samples, boxes, 5]` from the arrays `boxes` `[samples, boxes, 4]` (corners, in the units of
    the model's boxes) and `classes` `[samples, boxes]` (columns of the scores, -1 for no box). None where
    there are none."""
    if not ("boxes" in arrays and "classes" in arrays):
        return None
    boxes, classes = arrays["boxes"], arrays["classes"]
    if (
        boxes.ndim != 3
        or boxes.shape[2] != 4
        or classes.shape != boxes.shape[:2]
        or boxes.dtype.kind not in "fiu"
    ):
        raise DataError(
            f"the boxes of '{name}' have the shape {list(boxes.shape)}, the classes {list(classes.shape)}",
            "give boxes [samples, boxes, 4] and classes [samples, boxes], -1 for no box",
        )
    if classes.dtype.kind not in "iu":
        raise DataError(f"the classes of '{name}' are {classes.dtype}", "give whole numbers")
    return np.concatenate([boxes, classes[..., None]], axis=-1, dtype=np.float32, casting="unsafe")


def _of_dlib(root: Element) -> Iterator[tuple[str, list[_Found]]]:
    for image in root.iter("image"):
        name = _inside(image.attrib["file"])
        boxes = []
        for box in image.iter("box"):
            if box.get("ignore", "0") == "1":
                continue
            left, top, width, height = (float(box.attrib[k]) for k in ("left", "top", "width", "height"))
            label = (box.findtext("label") or "").strip()
            boxes.append((name, label, (left, top, left + width, top + height)))
        yield name, boxes


def _of_voc(root: Element, file: str) -> Iterator[tuple[str, list[_Found]]]:
    name = _inside((root.findtext("filename") or f"{PurePosixPath(file).stem}.jpg").strip())
    boxes = []
    for item in root.iter("object"):
        box = item.find("bndbox")
        if box is None or (item.findtext("difficult") or "0").strip() == "1":
            continue
        x1, y1, x2, y2 = (float(box.findtext(k) or "") for k in ("xmin", "ymin", "xmax", "ymax"))
        boxes.append((name, (item.findtext("name") or "").strip(), (x1, y1, x2, y2)))
    yield name, boxes


def _inside(name: str) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise DataError(
            f"boxes are given for '{name}', which leads out of the folder", "name the image itself"
        )
    return str(path)
