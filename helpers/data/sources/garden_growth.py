"""A flower's age, pose and light: an open head becomes a bud or wilts, turns, and is put into the picture."""

import numpy as np
from numpy.random import Generator

from helpers.data.sources.garden_flowers import HEADS, petals, ring
from helpers.data.sources.garden_scene import Shape


def grow(rng: Generator, species: str, colour: np.ndarray, detail: float, stage: str) -> list[Shape]:
    """Return the shapes of a head of the colour (3,), in units of its radius, each in front of those before it.

    Args:
        stage: ``open``, ``bud`` (petals folded up between sepals) or ``wilted`` (petals droop, brown, and fall).
    """
    withered = colour * 0.7 + np.array((120, 85, 50)) * 0.25
    shapes = HEADS[species](rng, withered if stage == "wilted" else colour, detail)
    if stage == "bud":  # a tulip's petals stand upright already
        angle = rng.uniform(0.3, 0.5) if species == "tulip" else rng.uniform(0.9, 1.2)
        shapes = [_fold(shape, 0.0, angle) for shape in shapes]
    if stage == "wilted":
        droop, gap = rng.uniform(0.5, 1.2), rng.normal(0, 1, 2)
        lost = 0.0 if species == "tulip" else rng.uniform(0.1, 0.7)
        shapes = [_fold(_without(shape, gap / np.linalg.norm(gap), lost), 0.3, -droop) for shape in shapes]
    if species in ("daisy", "sunflower", "rose"):
        shapes.insert(0, _sepals(rng, stage == "bud"))
    if species in ("tulip", "dandelion"):
        return shapes
    return [Shape(*(np.concatenate(part) for part in zip(*shapes, strict=True)))]  # their petals interlock


def _fold(shape: Shape, start: float, angle: float) -> Shape:
    """Bend what lies farther from the axis than ``start`` up by an angle (radians)."""
    radius = np.linalg.norm(shape.points[..., :2], axis=-1, keepdims=True)
    beyond = (radius - start).clip(0)
    shrink = (np.minimum(radius, start) + beyond * np.cos(angle)) / radius.clip(1e-6)
    raised = shape.points[..., 2:] + beyond * np.sin(angle)
    return Shape(np.concatenate([shape.points[..., :2] * shrink, raised], -1), shape.colours)


def _without(shape: Shape, gap: np.ndarray, lost: float) -> Shape:
    """Drop what lies outside of the disc within a sector around the direction ``gap`` (2,)."""
    middle = shape.points[..., :2].mean(1)
    radius = np.linalg.norm(middle, axis=1)
    kept = (middle @ gap < radius * (1 - lost)) | (radius < 0.35)
    return Shape(shape.points[kept], shape.colours[kept])


def _sepals(rng: Generator, closed: bool) -> Shape:
    """Grow the green leaves under a head, which enclose it while it is a bud."""
    green = np.array((85, 120, 55)) * rng.uniform(0.7, 1.2)
    size, lift = (0.75, 1.05) if closed else (0.42, 0.1)
    return petals(
        rng, ring(rng, 8), length=size, width=size / 4, lift=lift, curl=0.3 * closed, outline=(0.8, 2, 0.8),
        colours=(green, green * 1.15), grid=(4, 2), base_radius=0.04, height=-0.12,
    )  # fmt: skip


TILTS = {"daisy": 0.85, "dandelion": 1.4, "rose": 0.8, "sunflower": 0.8}  # most that an open head looks away, radians


def pose(rng: Generator, species: str, stage: str) -> np.ndarray:
    """Draw a pose, (3, 3) rows: the head's x, y and z axis in the picture (x right, y down, z to the viewer)."""
    upright = species == "tulip" or stage == "bud"
    if rng.random() < 0.06:  # an unusual view: from above, from the side or from behind
        tilt = rng.uniform(0.1, 0.9) if upright else rng.uniform(1.0, 1.6 if species == "rose" else 2.2)
    else:
        tilt = rng.uniform(1.1, 1.6) if upright else rng.uniform(0, TILTS[species])
    towards = -np.pi / 2 + rng.normal(0, 0.35 if upright else 0.9)
    ct, st, cd, sd = np.cos(tilt), np.sin(tilt), np.cos(towards), np.sin(towards)
    basis = np.array([(ct * cd, ct * sd, -st), (-sd, cd, 0), (st * cd, st * sd, ct)])
    spin = rng.uniform(0, 2 * np.pi)
    turn = np.array([(np.cos(spin), np.sin(spin), 0), (-np.sin(spin), np.cos(spin), 0), (0, 0, 1)])
    return turn @ basis


def place(shapes: list[Shape], frame: np.ndarray, centre: np.ndarray, radius: float, light: np.ndarray) -> list[Shape]:
    """Turn a head by ``frame`` (3, 3), shade it by the light (3,) and put it at ``centre`` px, back to front."""
    if len(shapes) > 1 and shapes[1].points.shape[1] == 4:  # a tulip's: whole petals hide one another
        shapes = sorted(shapes, key=lambda shape: (shape.points @ frame[:, 2]).mean())
    return [_lit(shape, shape.points @ frame, centre, radius, light) for shape in shapes]


def _lit(shape: Shape, points: np.ndarray, centre: np.ndarray, radius: float, light: np.ndarray) -> Shape:
    colours = shape.colours
    if points.shape[1] == 4:
        normal = np.cross(points[:, 2] - points[:, 0], points[:, 3] - points[:, 1])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
        normal *= np.where(normal[:, 2:] < 0, -1, 1)  # both faces of a petal are lit
        colours = colours * np.append(np.ones(3), 0) * (0.64 + 0.46 * (normal @ light))[:, None]
        colours[:, 3] = 255
    elif points.shape[1] == 2:  # threads: those behind are dimmer
        colours = colours * np.stack([*[0.78 + 0.26 * points[:, 1, 2]] * 3, np.ones(len(points))], 1)
    return Shape(points * radius + np.append(centre, 0), colours)
