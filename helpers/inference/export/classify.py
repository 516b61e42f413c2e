"""Classify photos with an exported model: ``python classify.py model.onnx photo.jpg …``.

Needs numpy, Pillow and onnxruntime, not the project that trained the model: classes and preprocessing are stored in the
model's file. ``python -m helpers export --onnx`` puts a copy of this script beside the model.
"""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import onnxruntime
from PIL import Image

from helpers.data.pixels import open_photo  # an export has the source of these in this line's place


def open_model(path):
    """Open the model; return the session, and the facts about preprocessing and classes in its file."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session, json.loads(session.get_modelmeta().custom_metadata_map["preprocessing.json"])


def preprocess(path, steps):
    """Load and preprocess a photo: float32 (1, 3, side, side)."""
    if not os.path.isfile(path):
        raise FileNotFoundError("no such file")  # a pipe would keep its reader for ever
    with open(path, "rb") as file:
        photo = open_photo(file)
    short, side = steps["resize"]["shorter_side"], steps["crop"]["size"]
    width, height = (int(short * each / min(photo.size)) for each in photo.size)
    left, top = round((width - side) / 2), round((height - side) / 2)
    photo = photo.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + side, top + side))
    values = np.asarray(photo, dtype=np.float32) * np.float32(steps["scale"])
    values = (values - np.float32(steps["mean"])) / np.float32(steps["std"])
    return values.transpose(2, 0, 1)[None]


def classify(session, facts, path):
    """Return pairs (class, probability), the most probable first."""
    (logits,) = session.run(["logits"], {"images": preprocess(path, facts["preprocessing"])})
    shares = np.exp(logits[0] - logits[0].max())
    return sorted(zip(facts["output"]["classes"], shares / shares.sum(), strict=True), key=lambda pair: -pair[1])


def main(model, *photos):
    """Print the probabilities of every photo; return the exit code."""
    (session, facts), code = open_model(model), 0
    for path in photos:
        try:
            pairs = classify(session, facts, path)
            print(f"{path}: " + ", ".join(f"{name} {probability:.6f}" for name, probability in pairs))
        except Exception as error:  # damaged files make Pillow raise many kinds
            print(f"{path}: cannot be read as a photo ({error})", file=sys.stderr)
            code = 1
    return code


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python classify.py model.onnx photo.jpg …")
    sys.exit(main(*sys.argv[1:]))
