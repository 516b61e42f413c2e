"""Tiny drawn photos: five flowers, a few of each, as an image folder."""

import math
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

CLASSES = {
    "daisy": ("white", "gold", 14),
    "dandelion": ("ivory", "gray", 40),
    "rose": ("crimson", "darkred", 6),
    "sunflower": ("gold", "saddlebrown", 20),
    "tulip": ("orchid", "purple", 5),
}
SIZES = ((320, 240), (240, 320), (500, 333))


def draw(name: str, number: int, size: tuple[int, int] = (256, 240)) -> Image.Image:
    """Draw one flower; the same number gives the same photo."""
    chance = random.Random(f"{name} {number}")
    petals, disc, count = CLASSES[name]
    photo = Image.effect_noise((size[0] // 8, size[1] // 8), 60).convert("RGB").resize(size)
    photo = Image.blend(photo, Image.new("RGB", size, (40, 110 + chance.randrange(60), 50)), 0.6)
    pen = ImageDraw.Draw(photo)
    x, y, reach = size[0] * chance.uniform(0.35, 0.6), size[1] * chance.uniform(0.35, 0.6), min(size) * 0.3
    turn = chance.uniform(0, math.tau)
    pen.line((x, y, x + 20, size[1]), "darkgreen", 6)
    for i in range(count):
        angle = turn + math.tau * i / count
        tip = x + reach * math.cos(angle), y + reach * math.sin(angle)
        pen.line((x, y, *tip), petals, 10)
    pen.ellipse((x - reach / 3, y - reach / 3, x + reach / 3, y + reach / 3), disc)
    return photo.filter(ImageFilter.GaussianBlur(1))


def draw_folder(folder: Path, each: int) -> Path:
    """Write ``folder/<class>/<number>.jpg``; returns the folder."""
    for name in CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            draw(name, number).save(folder / name / f"{folder.name}-{number}.jpg", quality=90)
    return folder
