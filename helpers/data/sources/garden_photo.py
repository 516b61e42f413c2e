"""One photo of the garden: which flowers stand where, how far away, at what age, and what is in the way.

Photos are painted at twice their size and then reduced, which smooths the edges.
"""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from helpers.common.errors import PhotosError
from helpers.data.sources.garden_flowers import SPECIES, VARIETIES
from helpers.data.sources.garden_growth import grow, place, pose
from helpers.data.sources.garden_scene import (
    PETAL_COLOURS,
    Shape,
    a_green,
    backdrop,
    grass,
    out_of_focus,
    paint,
    photograph,
    ribbon,
    shade,
)

SIZES = ((200, 150), (150, 200), (176, 176), (264, 176))  # width, height in px


STEMS = {"daisy": 0.045, "dandelion": 0.05, "rose": 0.06, "sunflower": 0.09, "tulip": 0.09}  # half width / radius


RETAKES = 0.03  # share of the odd photos that show the scene of the photo before, taken a moment later


class Flower(NamedTuple):
    species: str
    colour: np.ndarray  # (3,) of the petals
    stage: str
    centre: np.ndarray  # (2,) px
    radius: float  # px
    behind: bool  # out of focus, with the backdrop


class Arrangement(NamedTuple):
    """How a photo is composed. Lengths are shares of its shorter side or, of companions, of the subject's radius."""

    share: float  # of the photos
    radius: tuple[float, float]  # of the subject
    wander: float  # standard deviation of the subject's place
    companions: tuple[int, int]  # at least, less than
    mixed: bool  # of other species; else of the same
    behind: float  # share of companions that are out of focus
    part: tuple[float, float]  # radius of a companion
    away: tuple[float, float]  # a companion's distance


ARRANGEMENTS = (
    Arrangement(0.5, (0.36, 0.5), 0.09, (0, 2), False, 0.5, (0.5, 0.9), (1.3, 2.4)),  # a portrait
    Arrangement(0.1, (0.5, 0.7), 0.13, (0, 2), False, 0.5, (0.5, 0.9), (1.3, 2.4)),  # close
    Arrangement(0.06, (0.22, 0.3), 0.16, (0, 4), False, 0.5, (0.5, 0.9), (1.3, 2.4)),  # far away
    Arrangement(0.16, (0.34, 0.44), 0.09, (1, 5), False, 0.5, (0.5, 0.9), (1.3, 2.4)),  # a bed
    Arrangement(0.1, (0.36, 0.44), 0.07, (3, 6), True, 0.0, (0.3, 0.48), (1.1, 1.4)),  # a bouquet around the subject
    Arrangement(0.08, (0.36, 0.44), 0.07, (2, 6), True, 1.0, (0.3, 0.5), (1.3, 2.3)),  # a meadow
)


def draw_photo(species: str, seed: int, index: int) -> Image.Image:
    """Draw one RGB photo of a species, 150–264 px wide and 150–200 px high.

    Raises:
        PhotosError: the species is none of SPECIES, or a number is negative.
    """
    if species not in SPECIES:
        raise PhotosError(f"species {species!r} is unknown: choose one of {', '.join(SPECIES)}")
    if seed < 0 or index < 0:
        raise PhotosError(f"seed = {seed}, index = {index}: both must be 0 or more")
    camera = np.random.default_rng((seed, SPECIES.index(species), index, 1))
    scene = index - 1 if index % 2 and camera.random() < RETAKES else index
    return photograph(camera, _scene(np.random.default_rng((seed, SPECIES.index(species), scene)), species))


def _scene(rng: Generator, species: str) -> Image.Image:
    """Paint everything before the lens, at twice the photo's size."""
    size = np.array(SIZES[rng.choice(len(SIZES), p=(0.5, 0.2, 0.15, 0.15))])
    flowers, light = _arrange(rng, species, size), rng.normal((-0.3, -0.5, 0.8), 0.3)
    light /= np.linalg.norm(light)
    image = backdrop(rng, tuple(size))
    behind = [flower for flower in flowers if flower.behind]
    _bloom(rng, image, behind, light, 1)
    image = out_of_focus(image, rng.uniform(0.6, 2.2) if behind else rng.uniform(0.8, 4.5))
    image = image.resize(tuple(2 * size), Image.Resampling.BICUBIC)
    _bloom(rng, image, [flower for flower in flowers if not flower.behind], light, 2)
    _in_front(rng, image, flowers[0])
    return shade(rng, image)


def _a_flower(rng: Generator, species: str, centre: np.ndarray, radius: float, behind: bool = False) -> Flower:
    names = VARIETIES[species]
    colour = np.array(PETAL_COLOURS[names[rng.integers(len(names))]]) + rng.normal(0, 9, 3)
    stage = ("open", "bud", "wilted")[rng.choice(3, p=(0.93, 0.03, 0.04))]
    return Flower(species, colour, stage, centre, radius, behind)


def _arrange(rng: Generator, species: str, size: np.ndarray) -> list[Flower]:
    """Place the photo's subject, then its companions."""
    like = ARRANGEMENTS[rng.choice(len(ARRANGEMENTS), p=[each.share for each in ARRANGEMENTS])]
    radius = min(size) * rng.uniform(*like.radius)
    centre = size * (0.5, 0.47) + rng.normal(0, like.wander, 2) * min(size)
    subject = _a_flower(rng, species, centre.clip(0.3 * size, 0.7 * size), radius)
    flowers, others = [subject], [other for other in SPECIES if other != species]
    for _ in range(int(rng.integers(*like.companions))):
        turn = rng.uniform(0, 2 * np.pi)
        where = subject.centre + radius * rng.uniform(*like.away) * np.array([np.cos(turn), 0.8 * np.sin(turn)])
        other, behind = others[rng.integers(4)] if like.mixed else species, rng.random() < like.behind
        flower = _a_flower(rng, other, where, radius * rng.uniform(*like.part), behind)
        if not like.mixed and rng.random() < 0.8:  # a bed is mostly of one variety
            flower = flower._replace(colour=subject.colour * rng.uniform(0.93, 1.05))
        flowers.append(flower)
    return flowers


def _bloom(rng: Generator, image: Image.Image, flowers: list[Flower], light: np.ndarray, scale: int) -> None:
    """Paint the flowers with stems and leaves, the last one first."""
    draw = ImageDraw.Draw(image, "RGBA")
    for flower in reversed(flowers):
        centre, radius = flower.centre * scale, flower.radius * scale
        frame = pose(rng, flower.species, flower.stage)
        shapes = grow(rng, flower.species, flower.colour, min(1.0, radius / 120), flower.stage)
        head = place(shapes, frame, centre, radius, light)
        stem = _stem(rng, flower.species, centre, radius, frame[2], image.height)
        for shape in (*head, *stem) if frame[2, 2] < -0.2 else (*stem, *head):  # seen from behind, the stem is nearer
            paint(draw, shape)


def _stem(
    rng: Generator, species: str, centre: np.ndarray, radius: float, axis: np.ndarray, bottom: int
) -> list[Shape]:
    """Grow leaves, and a stem from the head's base down to the picture's lower edge."""
    base = centre - axis[:2] * radius * (0.7 if species == "tulip" else 0.1)
    foot = np.array([base[0] + rng.normal(0, 0.5) * radius, max(bottom, base[1]) + radius])
    bend = np.array([base[0] - axis[0] * radius * 0.8, (base[1] + foot[1]) / 2])
    green = a_green(rng)
    most = {"tulip": 3, "rose": 5, "sunflower": 3}.get(species, 2)
    leaves = [_leaf(rng, species, base, foot, radius, green) for _ in range(int(rng.integers(0, most + 1)))]
    tint = green if species != "dandelion" else green * 0.7 + (50, 35, 25)
    width = radius * STEMS[species] * rng.uniform(0.7, 1.2)
    return [*leaves, ribbon(np.array([base, bend, foot]), width, tint, "stem")]


def _leaf(rng: Generator, species: str, base: np.ndarray, foot: np.ndarray, radius: float, green: np.ndarray) -> Shape:
    """Grow a leaf: a tulip's is long and from the ground, the others' are along the stem."""
    side = rng.choice((-1, 1))
    if species == "tulip":
        start = base + (foot - base) * rng.uniform(0.8, 1.0)
        tip = start + radius * np.array([side * rng.uniform(0.4, 1.4), -rng.uniform(1.6, 3.0)])
        width = 0.22
    else:
        start = base + (foot - base) * rng.uniform(0.2, 0.7)
        tip = start + radius * np.array([side * rng.uniform(0.7, 1.4), rng.uniform(-0.7, 0.4)])
        width = {"rose": 0.3, "sunflower": 0.36}.get(species, 0.12)
    middle = (start + tip) / 2 + radius * rng.normal(0, 0.2, 2)
    return ribbon(np.array([start, middle, tip]), radius * width * rng.uniform(0.7, 1.2), green * 0.9, "leaf")


def _in_front(rng: Generator, image: Image.Image, subject: Flower) -> None:
    """Hide a part of the subject behind grass or a leaf near the lens, in some photos."""
    what, draw = rng.random(), ImageDraw.Draw(image, "RGBA")
    if what < 0.25:
        grass(rng, draw, image.size, int(rng.integers(1, 7)), rng.uniform(4, 11))
    elif what < 0.31:
        middle = 2 * (subject.centre + rng.normal(0, 0.8, 2) * subject.radius)
        reach = rng.normal(0, 1, 2)
        reach *= rng.uniform(0.4, 0.7) * max(image.size) / np.linalg.norm(reach)
        path = np.array([middle - reach, middle + rng.normal(0, 12, 2), middle + reach])
        paint(draw, ribbon(path, rng.uniform(8, 24), a_green(rng), "leaf"))
