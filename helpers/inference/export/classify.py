"""Classify photos with an exported model: ``python classify.py model.onnx photo.jpg …``.

Needs numpy, Pillow and onnxruntime, and nothing of the project that trained the model: what has to be known about it
stands in the file itself. ``python -m helpers export --onnx`` puts a copy of this script beside the model.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def open_model(path):
    """The model as a session, and what its file says about preprocessing and classes."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session, json.loads(session.get_modelmeta().custom_metadata_map["preprocessing.json"])


def prepare(path, steps):
    """The photo as the model wants it: float32 (1, 3, side, side)."""
    photo = ImageOps.exif_transpose(Image.open(path))
    if photo.has_transparency_data:
        photo = photo.convert("RGBA")
        photo = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), photo)
    photo = photo.convert("RGB")
    short, side = steps["resize"]["shorter_side"], steps["crop"]["size"]
    width, height = (int(short * each / min(photo.size)) for each in photo.size)
    left, top = round((width - side) / 2), round((height - side) / 2)
    photo = photo.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + side, top + side))
    values = np.asarray(photo, dtype=np.float32) * np.float32(steps["scale"])
    values = (values - np.float32(steps["mean"])) / np.float32(steps["std"])
    return values.transpose(2, 0, 1)[None]


def classify(session, facts, path):
    """Pairs (class, probability), the likeliest first."""
    (logits,) = session.run(["logits"], {"images": prepare(path, facts["preprocessing"])})
    shares = np.exp(logits[0] - logits[0].max())
    return sorted(zip(facts["output"]["classes"], shares / shares.sum(), strict=True), key=lambda pair: -pair[1])


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python classify.py model.onnx photo.jpg …")
    model, about = open_model(sys.argv[1])
    for name in sys.argv[2:]:
        print(f"{name}: " + ", ".join(f"{kind} {share:.6f}" for kind, share in classify(model, about, name)))
