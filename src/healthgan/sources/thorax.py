"""A schematic chest and its attenuation of X-rays, as smooth shapes with exactly known measures.

Coordinates of the chest: x to the right of the film (the patient's left), y down, the unit is half the width
of the film, the origin is its centre when the patient stands well. All shapes have soft edges, so that the same
chest can be drawn at any size. Nothing here is random.
"""

from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
"""Numbers; float32 throughout, which NumPy's types do not follow through arithmetic."""
Values = Floats
"""One number an image, (N,); inside this module (N, 1, 1), which broadcasts over the pixels."""

FINEST = 56
"""Fewer samples a side than this are not drawn: smaller films average several samples a pixel."""
WAVES = 96
"""Plane waves that make up the texture of one chest."""


@dataclass(frozen=True)
class Chest:
    """N chests as they stand before the film; every measure (N,) float32 unless said otherwise.

    The cardiothoracic ratio is ``heart_width / (2 · thorax)``, both taken at half the height of the edge.
    """

    thorax: Values  # half the largest inner width of the thorax
    apex: Values  # y of the lungs' upper end
    diaphragm: Values  # y of the right dome
    dome: Values  # how steeply the domes fall to the sides
    tilt: Values  # the left dome stands this much lower
    heart_width: Values
    heart_height: Values
    heart_slant: Values  # shift to the patient's left per unit of y
    heart_left: Values  # share of the heart's width left of the midline
    mediastinum: Values  # half width
    knob: Values  # radius of the aortic knob
    neck: Values  # half width
    shoulder: Values  # y of the shoulders
    body: Values  # thickness of soft tissue between the ribs and the skin at the sides
    arms: Values  # how far the arms are spread: outwards per unit of y
    fat: Values  # attenuation of the soft tissue
    breast: Values  # attenuation of the breasts; 0: none
    breast_low: Values  # y of the breasts' centre
    stomach: Values  # depth of the gas bubble under the left dome; 0: none
    gas: Values  # the same of the bowels
    rib_gap: Values  # distance of neighbouring ribs
    rib_phase: Values
    rib_slope: Values
    bone: Values  # attenuation of a rib
    collar: Values  # y of the clavicles' inner ends
    lung_air: Values  # how much less the lungs attenuate
    haze: Values  # fluid in the lower lungs, in the same unit
    texture: Values  # standard deviation of the texture's attenuation
    waves: Floats  # (N, WAVES, 3): cycles per unit along x and y, phase in turns

    def __len__(self) -> int:
        return len(self.thorax)

    def take(self, index: NDArray[np.int64]) -> "Chest":
        """The chests at the positions ``index``."""
        return Chest(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


@dataclass(frozen=True)
class Pose:
    """How N chests stand before the film; each (N,) float32."""

    right: Values  # shift to the right of the film
    down: Values
    turn: Values  # rotation in radians
    scale: Values

    def __len__(self) -> int:
        return len(self.right)


Drawable = TypeVar("Drawable", Chest, Pose)


def attenuation(chest: Chest, pose: Pose, size: int) -> NDArray[np.float32]:
    """Draw chests: the attenuation that each pixel of the film sees.

    Args:
        chest: N chests.
        pose: N poses.
        size: pixels a side.

    Returns:
        (N, size, size) float32: 0 for air, about 0.3 in the lungs, 0.9 in the abdomen.
    """
    finer = -(-FINEST // size) if size < FINEST else 1
    side = size * finer
    grid = ((np.arange(side, dtype=np.float32) + 0.5) * (2 / side) - 1).astype(np.float32)
    out = np.empty((len(pose), size, size), np.float32)
    step = max(1, 2**18 // side**2)  # about 1 MiB an array: it stays in the cache
    for start in range(0, len(pose), step):
        stop = min(start + step, len(pose))
        drawn = _draw(_broad(chest, start, stop), _broad(pose, start, stop), grid)
        out[start:stop] = drawn.reshape(-1, size, finer, size, finer).mean((2, 4))
    return out


def _broad(of: Drawable, start: int, stop: int) -> Drawable:
    """The rows from ``start`` to before ``stop``, measures as (n, 1, 1)."""
    rows = (getattr(of, f.name)[start:stop] for f in fields(of))
    return type(of)(*(row if row.ndim == 3 else row[:, None, None] for row in rows))


def _draw(chest: Chest, pose: Pose, grid: Values) -> Floats:
    u, v = (grid[None, None, :] - pose.right) / pose.scale, (grid[None, :, None] - pose.down) / pose.scale
    cos, sin = np.cos(pose.turn), np.sin(pose.turn)
    x, y = cos * u + sin * v, cos * v - sin * u
    across = np.abs(x)

    lungs, cage = _lungs(chest, x, y, across)
    heart = _heart(chest, x, y)
    lungs *= 1 - 0.95 * heart
    body, depth = _body(chest, across, y)
    belly = _edge(y - chest.diaphragm - 0.05, 0.13)

    film = chest.fat * depth + 0.24 * belly
    film += 0.10 * np.exp(-((x / (1.3 * chest.mediastinum)) ** 2))
    film += 0.20 * chest.heart_width * heart * (1 - belly)
    film -= lungs * (chest.lung_air - chest.haze * _edge(y - 0.1, 0.15))
    film += _bones(chest, y, across, cage, lungs)
    film += _soft(chest, x, y, across)
    fine = _texture(chest, pose, grid)
    film += chest.texture * (0.6 + 0.6 * lungs) * fine
    film -= chest.gas * belly * np.maximum(fine - 0.7, 0)
    return film * body


def _edge(distance: Floats, width: float) -> Floats:
    """Rises from 0 to 1 around distance 0, within about ± 2 widths of it."""
    result: Floats = 1 / (1 + np.exp(np.clip(distance * np.float32(-2 / width), -60, 60)))
    return result


def _body(chest: Chest, across: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Where the patient is (0…1), and the depth of tissue there (about 1 at the midline)."""
    trunk = chest.thorax + chest.body
    pits = np.float32(0.35)
    half = chest.neck + (trunk + pits - chest.neck) * _edge(y - chest.shoulder, 0.13)
    half -= pits * _edge(y - 0.10, 0.25)
    arm = across - trunk - 0.20 - chest.arms * (y + 0.2)
    inside = np.maximum(_edge(half - across, 0.035), _edge(0.16 - np.abs(arm), 0.035) * _edge(y + 0.4, 0.1))
    depth = 1 - 0.42 * np.minimum(across / half, 1) ** 2
    return inside, depth


def _lungs(chest: Chest, x: Floats, y: Floats, across: Floats) -> tuple[Floats, Floats]:
    """Air-filled lungs (0…1) without the heart's place cut out, and the rib cage around them (0…1)."""
    widest = np.float32(0.35)
    high = ((widest - y) / (widest - chest.apex)) ** 2
    high = np.where(y < widest, high, 0.15 * high)
    wide = (across / chest.thorax) ** 2
    # this falls by 2 / thorax per unit of x at the side wall
    distance = (1 - wide - high * (0.45 + 0.55 * high)) * (0.5 * chest.thorax)
    cage = _edge(distance, 0.03)
    left = _edge(x, 0.1)
    # the great vessels: from the arch down, the middle widens towards the heart
    flare = np.clip(y + 0.34, 0, 0.45) * (0.12 + 0.7 * left) * (chest.heart_width - 0.2)
    inner = _edge(across - chest.mediastinum - flare, 0.03)
    fall = np.maximum((across - 0.42 * chest.thorax) / chest.thorax, -0.2)
    floor = chest.diaphragm + chest.tilt * left + chest.dome * fall * fall
    return cage * inner * _edge(floor - y, 0.025), cage


def _heart(chest: Chest, x: Floats, y: Floats) -> Floats:
    """A slanted ellipse whose largest width is exactly ``heart_width``.

    The ellipse ((x − k y) / a)² + (y / b)² = 1 spans ± sqrt(a² + k² b²) along x.
    """
    half, b = chest.heart_width / 2, chest.heart_height / 2
    a = np.sqrt(half * half - (chest.heart_slant * b) ** 2)
    dx = x - chest.heart_width * (chest.heart_left - 0.5)
    dy = y - (chest.diaphragm + 0.10 - b)
    radius = np.sqrt(((dx - chest.heart_slant * dy) / a) ** 2 + (dy / b) ** 2)
    return _edge((1 - radius) * half, 0.022)


def _bones(
    chest: Chest,
    y: Floats,
    across: Floats,
    cage: Floats,
    lungs: Floats,
) -> Floats:
    """Ribs (behind, falling outwards; in front, falling inwards), clavicles, shoulder joints."""
    turn = np.float32(2 * np.pi)
    out = across / chest.thorax
    behind = (y - chest.rib_slope * out * out) / chest.rib_gap + chest.rib_phase
    front = (y + 0.9 * chest.rib_slope * out) / chest.rib_gap + 0.4 + chest.rib_phase
    wave = np.cos(turn * behind)
    ribs = cage * (0.3 + 0.7 * lungs) * chest.bone * (np.exp(2.0 * (wave - 1)) + 0.25 * np.cos(turn * front))
    rise = np.minimum(across, 0.62)
    line = y - (chest.collar - 0.22 * rise)
    clavicle = np.exp(-((line / 0.04) ** 2)) * _edge(0.70 - across, 0.06) * _edge(across - 0.1, 0.03)
    joint = np.exp(-(((across - chest.thorax - 0.2) / 0.16) ** 2) - ((y + 0.52) / 0.16) ** 2)
    result: Floats = ribs + 1.3 * chest.bone * clavicle + 0.12 * joint
    return result


def _soft(chest: Chest, x: Floats, y: Floats, across: Floats) -> Floats:
    """Aortic knob, hila, windpipe, breasts and the stomach's gas."""
    knob = np.exp(-(((x - chest.mediastinum) / chest.knob) ** 2) - ((y + 0.30) / (1.3 * chest.knob)) ** 2)
    hila = np.exp(-(((across - 0.2) / 0.09) ** 2) - ((y + 0.02) / 0.16) ** 2)
    pipe = np.exp(-((x / 0.045) ** 2)) * _edge(-0.25 - y, 0.05)
    breast = ((across - 0.55 * chest.thorax) / 0.30) ** 2 + ((y - chest.breast_low) / 0.28) ** 2
    low = y - chest.diaphragm - chest.tilt - 0.13
    gas = np.exp(-(((x - 0.42 * chest.thorax) / 0.11) ** 2) - (low / 0.07) ** 2)
    result: Floats = 0.13 * knob + 0.08 * hila - 0.09 * pipe - chest.stomach * gas
    result += chest.breast * _edge(1 - breast, 0.25)
    return result


def _texture(chest: Chest, pose: Pose, grid: Values) -> Floats:
    """Vessels and other small structure: a sum of plane waves that moves with the chest, variance 1.

    On the film cos(a u + b v + c) is a difference of products of functions of u and of v, so that the sum
    over the waves is one product of matrices.
    """
    turn = np.float32(2 * np.pi)
    kx, ky, phase = (turn * chest.waves[..., i] for i in range(3))
    cos, sin, scale = (p[:, :, 0] for p in (np.cos(pose.turn), np.sin(pose.turn), pose.scale))
    ku, kv = (kx * cos - ky * sin) / scale, (kx * sin + ky * cos) / scale
    phase = phase - ku * pose.right[:, :, 0] - kv * pose.down[:, :, 0]
    over = kv[:, None, :] * grid[None, :, None]  # (n, side, WAVES)
    along = ku[:, :, None] * grid[None, None, :] + phase[:, :, None]  # (n, WAVES, side)
    rows = np.concatenate([np.cos(over), -np.sin(over)], axis=2)
    columns = np.concatenate([np.cos(along), np.sin(along)], axis=1)
    result: Floats = rows @ columns * np.float32(np.sqrt(2 / chest.waves.shape[1]))
    return result
