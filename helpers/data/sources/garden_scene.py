"""What surrounds a drawn flower: light, backdrop, stems and grass, and the camera's traces."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

# Every colour a flower may have, whatever its species: colour alone must not give it away.
PETAL_COLOURS = {
    "white": (247, 245, 240),
    "cream": (246, 232, 190),
    "pink": (240, 150, 185),
    "magenta": (205, 50, 120),
    "red": (200, 24, 36),
    "crimson": (155, 16, 44),
    "orange": (245, 130, 40),
    "apricot": (248, 180, 130),
    "yellow": (250, 205, 40),
    "lilac": (180, 130, 205),
    "purple": (138, 62, 152),
}


GREENS = np.array([(70, 110, 35), (45, 90, 45), (105, 140, 50), (130, 155, 85), (55, 75, 30), (85, 125, 75)], float)


class Shape(NamedTuple):
    """N polygons (or, with K = 2, lines) of K corners each.

    ``points``: float (N, K, 2 or 3), px once placed; a third coordinate points at the viewer.
    ``colours``: float (N, 4), red, green, blue, opacity, all 0–255.
    """

    points: np.ndarray
    colours: np.ndarray


def paint(draw: ImageDraw.ImageDraw, shape: Shape) -> None:
    """Paint the polygons, the farthest first."""
    points, colours = shape
    if points.shape[2] == 3:
        order = np.argsort(points[:, :, 2].mean(1), kind="stable")
        points, colours = points[order], colours[order]
    corners = points[:, :, :2].reshape(len(points), -1).tolist()
    fills = colours.clip(0, 255).astype(np.uint8).tolist()
    stroke = draw.polygon if points.shape[1] > 2 else draw.line
    for xy, fill in zip(corners, fills, strict=True):
        stroke(xy, fill=tuple(fill))


def opaque(colours: np.ndarray) -> np.ndarray:
    """Flatten colours (…, 3) to (N, 4), with full opacity."""
    flat = colours.reshape(-1, 3)
    return np.concatenate([flat, np.full((len(flat), 1), 255.0)], 1)


def a_green(rng: Generator) -> np.ndarray:
    return GREENS[rng.integers(len(GREENS))] * rng.uniform(0.7, 1.25) + rng.normal(0, 6, 3)


def a_petal_colour(rng: Generator) -> np.ndarray:
    return np.array(list(PETAL_COLOURS.values())[rng.integers(len(PETAL_COLOURS))], float)


def ribbon(path: np.ndarray, half_width: float, colour: np.ndarray, kind: str) -> Shape:
    """Draw a stem, a blade of grass or a leaf along a curve, one side of its midrib lighter.

    Args:
        path: (3, 2) px, control points of a quadratic Bézier curve.
        half_width: px, at the widest place.
        kind: ``stem`` (even), ``grass`` (tapering) or ``leaf`` (widest below the middle).
    """
    t = np.linspace(0, 1, 15)[:, None]
    line = (1 - t) ** 2 * path[0] + 2 * t * (1 - t) * path[1] + t**2 * path[2]
    along = np.gradient(line, axis=0)
    normal = along[:, ::-1] * (-1, 1) / (np.linalg.norm(along, axis=1, keepdims=True) + 1e-6)
    profile = {"stem": 0.85 + 0.15 * t, "grass": 1 - t**1.5, "leaf": np.sin(np.pi * t**0.75) ** 0.8}[kind]
    rails = line[:, None] + np.array([-1, -0.35, 0, 0.35, 1])[:, None] * (normal * half_width * profile)[:, None]
    corners = np.stack([rails[:-1, :-1], rails[1:, :-1], rails[1:, 1:], rails[:-1, 1:]], 2)
    tones = {"stem": (0.7, 0.95, 1.15, 0.85), "grass": (0.85, 0.95, 1.1, 1.15), "leaf": (0.8, 0.9, 1.15, 1.05)}[kind]
    shade = np.array(tones)[None, :, None] * np.linspace(0.8, 1.12, 14)[:, None, None]
    return Shape(corners.reshape(-1, 4, 2), opaque(shade * colour))


def clouds(rng: Generator, size: tuple[int, int], cells: int) -> np.ndarray:
    """Make smooth noise, float32 (height, width), about within ±1, ``cells`` bumps across."""
    field = np.zeros(size[::-1], np.float32)
    for octave in (1, 2):
        small = rng.uniform(-1.2 / octave, 1.2 / octave, (cells * octave, cells * octave)).astype(np.float32)
        field += np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC))
    return field


def backdrop(rng: Generator, size: tuple[int, int]) -> Image.Image:
    """Draw a sharp RGB backdrop of ``size`` (width, height) px, to be blurred by the caller."""
    kinds = (_meadow, _foliage, _sky, _soil, _bokeh, _wall)
    return kinds[rng.choice(len(kinds), p=(0.28, 0.2, 0.14, 0.12, 0.14, 0.12))](rng, *size)


def _gradient(rng: Generator, top: np.ndarray, bottom: np.ndarray, w: int, h: int, mottle: float) -> Image.Image:
    ramp = np.linspace(0, 1, h)[:, None, None] ** rng.uniform(0.6, 1.6)
    field = top + (bottom - top) * ramp + mottle * clouds(rng, (w, h), int(rng.integers(3, 8)))[:, :, None]
    return Image.fromarray(field.clip(0, 255).astype(np.uint8))


def _specks(rng: Generator, image: Image.Image, count: int, colours: list[np.ndarray], radius: tuple) -> None:
    """Add round spots of the colours with random brightness and opacity."""
    draw = ImageDraw.Draw(image, "RGBA")
    for x, y, r in zip(
        rng.uniform(0, image.width, count),
        rng.uniform(0, image.height, count),
        rng.uniform(*radius, count),
        strict=True,
    ):
        colour = colours[rng.integers(len(colours))] * rng.uniform(0.6, 1.15)
        fill = tuple(int(c) for c in colour.clip(0, 255)) + (int(rng.integers(90, 240)),)
        draw.ellipse((x - r, y - r * 0.8, x + r, y + r * 0.8), fill=fill)


def _meadow(rng: Generator, w: int, h: int) -> Image.Image:
    image = _gradient(rng, a_green(rng) * 1.25, a_green(rng) * 0.7, w, h, 18)
    draw = ImageDraw.Draw(image, "RGBA")
    for _ in range(int(rng.integers(40, 90))):
        foot = np.array([rng.uniform(-10, w + 10), rng.uniform(0.3, 1.3) * h])
        tip = foot + (rng.normal(0, 25), -rng.uniform(25, 90))
        fill = tuple(int(c) for c in a_green(rng).clip(0, 255))
        draw.line((*foot, *tip), fill=fill, width=int(rng.integers(1, 5)))
    _specks(rng, image, int(rng.integers(0, 45)), [a_petal_colour(rng) for _ in range(3)], (1.5, 8))
    return image


def _foliage(rng: Generator, w: int, h: int) -> Image.Image:
    image = _gradient(rng, a_green(rng) * 0.7, a_green(rng) * 0.5, w, h, 12)
    draw = ImageDraw.Draw(image, "RGBA")
    for _ in range(int(rng.integers(14, 34))):
        foot, turn, length = rng.uniform(0, 1, 2) * (w, h), rng.uniform(0, 2 * np.pi), rng.uniform(25, 85)
        tip = foot + length * np.array([np.cos(turn), np.sin(turn)])
        path = np.array([foot, (foot + tip) / 2 + rng.normal(0, 8, 2), tip])
        paint(draw, ribbon(path, length * rng.uniform(0.12, 0.28), a_green(rng) * rng.uniform(0.6, 1.1), "leaf"))
    _specks(rng, image, int(rng.integers(0, 14)), [a_petal_colour(rng) for _ in range(2)], (3, 14))
    return image


def _sky(rng: Generator, w: int, h: int) -> Image.Image:
    tops = np.array([(60, 120, 205), (120, 170, 225), (175, 190, 205), (225, 228, 230), (90, 90, 130)], float)
    bottoms = np.array([(170, 205, 235), (215, 228, 240), (245, 215, 180), (240, 170, 130), (205, 210, 212)], float)
    image = _gradient(rng, tops[rng.integers(5)], bottoms[rng.integers(5)], w, h, rng.uniform(4, 38))
    if rng.random() < 0.5:  # a far hedge below
        draw, y = ImageDraw.Draw(image), h * rng.uniform(0.6, 0.95)
        edge = [(x, y + rng.normal(0, 6)) for x in range(0, w + 30, 15)]
        draw.polygon([*edge, (w + 30, h), (0, h)], fill=tuple(int(c) for c in a_green(rng).clip(0, 255)))
    return image


def _soil(rng: Generator, w: int, h: int) -> Image.Image:
    earths = np.array([(95, 70, 50), (130, 105, 80), (70, 55, 45), (150, 140, 130)], float)
    earth = earths[rng.integers(4)]
    image = _gradient(rng, earth * 1.1, earth * 0.75, w, h, 20)
    _specks(rng, image, int(rng.integers(80, 180)), [earth * 0.6, earth, earth * 1.35, a_green(rng)], (1, 5))
    _specks(rng, image, int(rng.integers(0, 12)), [a_petal_colour(rng)], (2, 6))  # fallen petals
    return image


def _bokeh(rng: Generator, w: int, h: int) -> Image.Image:
    deep = a_green(rng) * rng.uniform(0.15, 0.8) if rng.random() < 0.6 else rng.uniform(5, 90, 3)
    image = _gradient(rng, deep * 1.2, deep * 0.7, w, h, 10)
    lights = [a_green(rng) * 1.3, a_green(rng), a_petal_colour(rng), a_petal_colour(rng)]
    _specks(rng, image, int(rng.integers(0, 32)), lights, (5, 26))
    return image


def _wall(rng: Generator, w: int, h: int) -> Image.Image:
    paints = np.array([(205, 195, 180), (150, 85, 65), (120, 120, 125), (225, 220, 205), (165, 140, 110)], float)
    colour = paints[rng.integers(5)] if rng.random() < 0.6 else a_petal_colour(rng) * 0.8
    image = _gradient(rng, colour * 1.05, colour * 0.8, w, h, 9)
    draw, row = ImageDraw.Draw(image, "RGBA"), rng.integers(14, 40)
    if rng.random() < 0.7:  # bricks or planks
        for number, y in enumerate(range(-int(rng.integers(row)), h, int(row))):
            draw.line((0, y, w, y), fill=(40, 35, 30, 120), width=2)
            for x in range(-int(row) * (number % 2), w, int(row) * 2):
                draw.line((x, y, x, y + row), fill=(40, 35, 30, 90), width=2)
    return image


def out_of_focus(image: Image.Image, radius: float) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(radius)) if radius > 0.3 else image


def grass(rng: Generator, draw: ImageDraw.ImageDraw, size: tuple[int, int], count: int, width: float) -> None:
    """Draw blades that grow from below the picture of ``size`` px, in front of what is there."""
    w, h = size
    for _ in range(count):
        foot = np.array([rng.uniform(-0.1, 1.1) * w, h * 1.05])
        tip = foot + (rng.normal(0, 0.25) * w, -rng.uniform(0.2, 0.85) * h)
        middle = (foot + tip) / 2 + (rng.normal(0, 0.08) * w, 0)
        paint(draw, ribbon(np.array([foot, middle, tip]), rng.uniform(0.4, 1) * width, a_green(rng), "grass"))


def shade(rng: Generator, image: Image.Image) -> Image.Image:
    """Add the light of the hour: sun, overcast, dusk or against the sun, and the shade of a tree."""
    w, h = image.size
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j].astype(np.float32)
    field = 1 + rng.normal(0, 0.12) * x + rng.normal(0, 0.06) * y
    if rng.random() < 0.3:
        edge = clouds(rng, (w, h), int(rng.integers(3, 6))) - rng.uniform(-0.3, 0.6)
        field = field * (1 - rng.uniform(0.2, 0.45) / (1 + np.exp(-10 * edge)))
    light = np.asarray(image, dtype=np.float32) * field[:, :, None]
    hour = rng.random()
    if hour < 0.05:  # dusk
        light = light * np.array(rng.uniform((0.45, 0.47, 0.6), (0.65, 0.65, 0.8)), np.float32)
    elif hour < 0.12:  # haze against the sun
        glow = np.exp(-((x - rng.uniform(-1, 1)) ** 2 + (y + 1) ** 2) / rng.uniform(0.4, 1.6))[:, :, None]
        light = light * 0.8 + glow * np.array((150, 130, 85), np.float32)
    elif hour < 0.15:  # black and white
        light = np.repeat(light.mean(2, keepdims=True), 3, 2)
    return Image.fromarray(light.clip(0, 255).astype(np.uint8))


def photograph(rng: Generator, image: Image.Image) -> Image.Image:
    """Halve the size, and add what the camera does: shake, softness, exposure, warmth, vignette, noise."""
    w, h = image.width // 2, image.height // 2
    left, top, right, bottom = rng.uniform(0, 0.02, 4) * (w, h, w, h)  # no two shots have the same frame
    image = image.resize((w, h), Image.Resampling.BOX, (2 * left, 2 * top, 2 * (w - right), 2 * (h - bottom)))
    if rng.random() < 0.25:
        image = out_of_focus(image, rng.gamma(2, 0.3))
    light = np.asarray(image, dtype=np.float32)
    if rng.random() < 0.12:  # the camera moved
        dx, dy = rng.integers(-1, 2, 2)
        light = sum(np.roll(light, (k * dy, k * dx), (0, 1)) for k in (-2, -1, 0, 1, 2)) / 5
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j].astype(np.float32)
    warmth = rng.normal(0, 0.08)
    cast = np.array([1 + warmth, 1 + rng.normal(0, 0.03), 1 - warmth], np.float32) * np.exp(rng.normal(0.12, 0.13))
    light = light * (1 - rng.uniform(0, 0.25) * (x * x + y * y))[:, :, None] * cast
    light = 118 + (light - 118) * rng.uniform(0.75, 1.15)
    light += rng.gamma(1.5, 1.0) * rng.standard_normal((h, w, 1), dtype=np.float32)
    return Image.fromarray(light.clip(0, 255).astype(np.uint8))
