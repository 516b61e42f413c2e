"""The anatomy of five species of flowers, as shaded surfaces in space.

A flower head is a set of curved petals in units of its own radius. Each petal is a grid of small
quadrangles, which the light shades and which are painted from back to front.
"""

import numpy as np
from numpy.random import Generator

from helpers.data.sources.garden_scene import Shape, opaque

GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


DARK = [(95, 80, 35), (45, 26, 16), (60, 32, 15), (120, 66, 20)]  # a disc of ripe seeds, from centre to rim


_ANY = ("white", "cream", "pink", "magenta", "red", "crimson", "orange", "apricot", "yellow", "lilac", "purple")


VARIETIES = {
    "daisy": (*["white"] * 8, "cream", "pink", "pink", "lilac", "yellow"),
    "dandelion": ("white", "white", "cream"),
    "rose": _ANY,
    "sunflower": (*["yellow"] * 8, "orange", "orange", "cream", "crimson"),
    "tulip": _ANY,
}


def petals(
    rng: Generator,
    azimuth: np.ndarray,
    *,
    length: float,
    width: float,
    lift: np.ndarray | float,
    curl: float,
    outline: tuple[float, float, float],
    colours: tuple[np.ndarray, np.ndarray],
    grid: tuple[int, int],
    base_radius: float = 0.0,
    height: np.ndarray | float = 0.0,
    cup: float = 0.0,
    spread: float = 0.06,
) -> Shape:
    """Make P petals around the flower's axis z, in units of the head's radius.

    Args:
        azimuth: (P,) radians, where each stands around the axis.
        length, width: of a petal, width from its midrib to its edge.
        lift, curl: radians, rise over the plane at the base, and how much more at the tip.
        outline: (p, q, k), half width over u in 0..1: ``(1 - |2 u^p - 1|^q)^k``.
        colours: (3,) at the base and (3,) at the tip.
        grid: quadrangles along and across a petal.
        base_radius, height: where the base is attached; ``height`` may be (P,).
        cup: how far the edges stand above the midrib; ``spread``: variation between petals.
    """
    count, (along, across) = len(azimuth), grid
    even = np.linspace(0, 1, along + 1)
    u, v = 0.4 * even + 0.3 * (1 - np.cos(np.pi * even)), np.linspace(-1, 1, across + 1)  # finer at the round ends

    def vary(value):
        return (np.broadcast_to(value, count) * rng.normal(1, spread, count))[:, None]

    p, q, k = outline
    half = vary(width) * ((1 - np.abs(2 * u**p - 1) ** q).clip(0) ** k)
    bend = vary(lift) + rng.normal(0, spread, (count, 1)) + (curl + rng.normal(0, 2 * spread, (count, 1))) * u
    step = vary(length) * np.diff(u, prepend=0)
    radius = base_radius + np.cumsum(step * np.cos(bend), 1)
    rise = np.reshape(height, (-1, 1)) + np.cumsum(step * np.sin(bend), 1)
    side = (half / np.maximum(radius, 0.1)).clip(0, 1.5)[:, :, None] * v
    angle = azimuth[:, None, None] + side + (rng.normal(0, spread, (count, 1)) * u)[:, :, None]
    z = rise[:, :, None] + cup * half[:, :, None] * v**2
    points = np.stack([radius[:, :, None] * np.cos(angle), radius[:, :, None] * np.sin(angle), z], -1)
    return Shape(_quads(points), opaque(_petal_tints(rng, count, grid, colours)))


def _quads(points: np.ndarray) -> np.ndarray:
    """Turn grid points (P, U+1, V+1, 3) into corners (P·U·V, 4, 3)."""
    corners = (points[:, :-1, :-1], points[:, 1:, :-1], points[:, 1:, 1:], points[:, :-1, 1:])
    return np.stack(corners, 3).reshape(-1, 4, 3)


def _petal_tints(rng: Generator, count: int, grid: tuple[int, int], colours: tuple) -> np.ndarray:
    """Colour petals (P, U, V, 3), base to tip, with veins, dark edges, and every petal a little different."""
    u = ((np.arange(grid[0]) + 0.5) / grid[0])[:, None, None]
    v = np.abs(np.linspace(-1, 1, grid[1]))[:, None]
    tint = colours[0] + (colours[1] - colours[0]) * u**0.8
    shade = 0.97 - 0.14 * v**3 + 0.16 * u**6 + rng.normal(0, 0.02, (count, 1, grid[1], 1))
    return tint * shade * rng.normal(1, 0.05, (count, 1, 1, 1))


def florets(rng: Generator, count: int, radius: float, dome: float, colours: np.ndarray) -> Shape:
    """Make a disc of florets in the golden-angle spiral; ``colours`` (C, 3) from centre to rim."""
    i = np.arange(count)
    r, turn = np.sqrt((i + 0.5) / count), i * GOLDEN_ANGLE
    place = np.stack([radius * r * np.cos(turn), radius * r * np.sin(turn), dome * (1 - r**2) + 0.02], -1)
    outward = np.stack([np.cos(turn), np.sin(turn), -dome * r], -1)
    sideways = np.stack([-np.sin(turn), np.cos(turn), 0 * turn], -1)
    size = 1.5 * radius / np.sqrt(count)
    corners = [outward * size * 1.2, sideways * size, -outward * size, -sideways * size]
    stops = np.linspace(0, 1, len(colours))
    tint = np.stack([np.interp(r, stops, colours[:, c]) for c in range(3)], -1)
    return Shape(place[:, None] + np.stack(corners, 1), opaque(tint * rng.normal(1, 0.17, (count, 1))))


def ring(rng: Generator, count: int, shift: float = 0.0) -> np.ndarray:
    """Return (count,) azimuths, nearly evenly around the axis."""
    step = 2 * np.pi / count
    return (np.arange(count) + shift) * step + rng.normal(0, 0.12, count) * step


def daisy(rng: Generator, colour: np.ndarray, detail: float) -> list[Shape]:
    """Grow two rings of blunt rays around a domed disc: golden, rarely as dark as a sunflower's."""
    disc, lift, rays = rng.uniform(0.2, 0.32), rng.uniform(-0.15, 0.5), int(rng.integers(11, 24))
    flushed = colour * (0.92, 0.8, 0.86) if rng.random() < 0.3 else colour * 0.98
    shared = {
        "length": 1 - disc, "width": rng.uniform(1.4, 1.85) / rays, "curl": rng.uniform(-0.6, 0.2),
        "outline": (1.15, 5, 0.5), "grid": (max(3, int(6 * detail)), 3), "base_radius": disc * 0.8, "cup": 0.25,
    }  # fmt: skip
    back = petals(rng, ring(rng, rays), lift=lift - 0.1, colours=(colour * 0.72, flushed * 0.9), **shared)
    front = petals(rng, ring(rng, rays, 0.5), lift=lift, colours=(colour * 0.8, flushed), height=0.05, **shared)
    golds = [(215, 165, 20), (245, 195, 30), (225, 150, 15)] if rng.random() < 0.95 else DARK
    heart = np.array(golds, float) * rng.uniform(0.85, 1.08)
    return [back, front, florets(rng, int(40 + 90 * detail), disc, disc * rng.uniform(0.3, 0.8), heart)]


def sunflower(rng: Generator, colour: np.ndarray, detail: float) -> list[Shape]:
    """Grow two rings of pointed rays around a broad dark disc of seeds; a young disc is smaller and green."""
    young = rng.random() < 0.06
    disc, lift, rays = rng.uniform(0.38, 0.55) - 0.12 * young, rng.uniform(-0.1, 0.5), int(rng.integers(13, 22))
    shared = {
        "length": 1 - disc * 0.9, "width": rng.uniform(1.56, 2.04) / rays, "curl": rng.uniform(-0.7, 0.5),
        "outline": (0.85, 2, 0.85), "grid": (max(4, int(7 * detail)), 4), "base_radius": disc * 0.9, "cup": 0.5,
        "spread": 0.12,
    }  # fmt: skip
    back = petals(rng, ring(rng, rays), lift=lift - 0.2, colours=(colour * 0.6, colour * 0.85), **shared)
    front = petals(rng, ring(rng, rays, 0.5), lift=lift, colours=(colour * 0.72, colour), height=0.06, **shared)
    seeds = [(110, 130, 45), (150, 150, 50), (190, 160, 40)] if young else DARK
    heart = np.array(seeds, float) * rng.uniform(0.8, 1.25)
    return [back, front, florets(rng, int(80 + 220 * detail), disc, rng.uniform(0.02, 0.2), heart)]


def rose(rng: Generator, colour: np.ndarray, detail: float) -> list[Shape]:
    """Grow a spiral of petals: upright and tight inside, wide and curled back outside; some are mere cups."""
    cup = rng.random() < 0.1
    count, openness = (int(rng.integers(9, 12)), 0.45) if cup else (int(rng.integers(15, 24)), rng.uniform(0.7, 1.15))
    deep = colour * (0.6, 0.46, 0.48) + rng.normal(0, 4, 3)
    shapes = [florets(rng, 12, 0.2, 0.05, np.stack([deep * 0.5, deep * 0.4]))]
    for i, a in enumerate(np.linspace(0, 1, count)):  # a: age, 0 for the innermost petal, 1 for the outermost
        petal = petals(
            rng, np.array([i * GOLDEN_ANGLE + rng.normal(0, 0.15)]), length=0.5 + 0.42 * a, width=0.22 + 0.42 * a,
            lift=1.62 - 1.0 * a * openness, curl=-0.15 - 1.0 * a**1.5, outline=(0.75, 3.2, 0.5),
            colours=(deep * (0.6 + 0.2 * a), colour * (0.88 + 0.2 * a)), grid=(max(5, int(9 * detail)), 8),
            base_radius=0.05 + 0.2 * a, height=0.22 * (1 - a), cup=0.1 - 0.2 * a,
        )  # fmt: skip
        shapes.append(petal)
    return shapes


def tulip(rng: Generator, colour: np.ndarray, detail: float) -> list[Shape]:
    """Grow three inner petals and three outer ones around dark stamens; double tulips have as many again."""
    openness, grid = rng.uniform(0, 0.55), (max(7, int(18 * detail)), 8 if detail < 0.5 else 12)
    flame = colour * 0.85 if rng.random() < 0.6 else colour * (0.9, 0.55, 0.6)
    tip = colour if rng.random() < 0.6 else colour * 0.6 + 95
    turn, shapes = rng.uniform(0, 2 * np.pi), []
    for ring in (2, 1, 0) if rng.random() < 0.15 else (1, 0):  # from the inside to the outside
        for i in range(3):
            shape = petals(
                rng, np.array([turn + (2 * i + ring) * np.pi / 3]), length=1.75 - 0.05 * ring,
                width=0.52 - 0.06 * ring, lift=0.55, curl=1.45 - openness - 0.1 * ring, outline=(0.9, 2.4, 0.62),
                spread=0.04 + 0.04 * ring, grid=grid, base_radius=0.04, height=-0.75, cup=-0.08,
                colours=(flame * (0.8 - 0.12 * ring), tip * (1 - 0.12 * ring)),
            )  # fmt: skip
            shapes.append(shape)
    return [florets(rng, 12, 0.16, 0.3, np.array([(60, 50, 20), (35, 25, 30)], float)), *shapes]


def dandelion(rng: Generator, colour: np.ndarray, detail: float) -> list[Shape]:
    """Grow a seed head: every seed a thread from the core to a little parasol on the sphere."""
    count, rays = int(70 + 70 * detail), 11
    i = np.arange(count) + 0.5
    polar, turn = np.arccos(1 - 2 * i / count), i * 2 * GOLDEN_ANGLE
    out = np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], -1)
    veil = rng.uniform(12, 24)  # opacity of the threads too fine to draw
    if rng.random() < 0.35:  # the wind has taken some
        veil = 4
        out = out[out @ rng.normal(0, 1, 3) < rng.uniform(-0.2, 1.0)]
    side = np.cross(out, (0.3, 0.9, 0.3))
    side /= np.linalg.norm(side, axis=1, keepdims=True) + 1e-6
    spokes = np.arange(rays)[:, None, None] * 2 * np.pi / rays + rng.uniform(0, 6, (len(out), 1))
    fan = np.cos(spokes) * side + np.sin(spokes) * np.cross(out, side)
    hub = out * rng.normal(0.7, 0.02, (len(out), 1))
    tips = (hub + out * 0.2 + fan * rng.uniform(0.2, 0.27)).reshape(-1, 3)
    fluff = np.stack([np.broadcast_to(hub, (rays, *hub.shape)).reshape(-1, 3), tips], 1)
    circle = np.linspace(0, 2 * np.pi, 28)
    rings = np.array([0.96, 0.9, 0.82, 0.7, 0.5])[:, None]
    disc = np.stack([rings * np.cos(circle), rings * np.sin(circle), 0 * rings * circle], -1)
    brown = np.array([120, 95, 60]) * rng.uniform(0.7, 1.3)
    seeds = Shape(np.stack([out * 0.1, out * 0.26], 1), opaque(np.tile(brown * 0.8, (len(out), 1))))
    threads = Shape(np.stack([out * 0.2, hub], 1), np.tile([*(colour * 0.85), 110], (len(out), 1)))
    down = Shape(fluff, np.tile([*colour, 165], (len(fluff), 1)))
    core = florets(rng, 30, 0.13, 0.1, np.array([brown, brown * 0.7]))
    return [Shape(disc, np.tile([*colour, veil], (5, 1))), threads, core, seeds, down]


HEADS = {"daisy": daisy, "dandelion": dandelion, "rose": rose, "sunflower": sunflower, "tulip": tulip}
SPECIES = tuple(HEADS)
