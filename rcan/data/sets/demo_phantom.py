"""Drawn chest phantoms: a frontal or lateral view as bright and dark shapes, findings included.

Coordinates run from 0 to 1, x to the right and y down; radiological convention puts the patient's
right at the image's left. Values run from 0 (black, air) to 1 (white, dense).
"""

from functools import lru_cache

import numpy as np

RIGHT, LEFT, BILATERAL = "right", "left", "bilateral"
LUNG_TOP = 0.13


class Phantom:
    """One view under construction: first its anatomy is altered, then painted, then findings on it.

    `anatomy` draws what varies between patients and is shared by the views of a study.
    """

    def __init__(self, size: int, projection: str, anatomy: np.random.Generator):
        self.frontal = projection == "frontal"
        self.x, self.y = _grid(size)
        self.pixels = np.full((size, size), 0.03, dtype=np.float32)
        self.heart = anatomy.uniform(0.95, 1.05)
        self.base = anatomy.uniform(0.745, 0.775)  # height of the diaphragm
        self.dome = 0.06
        self.curve = anatomy.uniform(-0.008, 0.008)  # of the spine, positive to the image's right
        self.width = anatomy.uniform(0.95, 1.05)
        self.jitter = anatomy.uniform(-0.015, 0.015, size=2)

    def paint_anatomy(self) -> None:
        """Soft tissue, lungs with ribs, diaphragm, spine and heart."""
        self.blend(self.ellipse(0.5, 0.55, 0.47 * self.width, 0.62), 0.55)
        lungs = np.maximum(self.lung(RIGHT), self.lung(LEFT))
        self.blend(lungs, 0.24)
        ribs = np.cos(2 * np.pi * (self.y - 0.25 * np.abs(self.x - 0.5)) / 0.105) > 0.55
        self.blend(lungs * ribs, 0.36, opacity=0.7)
        spine = 0.5 if self.frontal else 0.79
        bend = self.curve * np.sin(np.pi * self.y) * 1.6
        self.blend(_within(np.abs(self.x - spine - bend) - 0.04), 0.8, opacity=0.8)
        x, radius = (0.535, 0.13) if self.frontal else (0.38, 0.12)
        x += 0.2 * radius * (self.heart - 1)  # a large heart grows to the patient's left
        heart = self.ellipse(x, self.base - 0.13, radius * self.heart, 0.14 * self.heart**0.5)
        self.blend(heart, 0.72, opacity=0.9)

    def finish(self, noise: np.random.Generator) -> np.ndarray:
        """The view with grain, (size, size) uint8."""
        grain = noise.standard_normal(self.pixels.shape, dtype=np.float32)
        return (np.clip(self.pixels + 0.025 * grain, 0, 1) * 255).astype(np.uint8)

    def lung(self, side: str) -> np.ndarray:
        """Mask (size, size) of one lung above the diaphragm; a lateral view shows both as one."""
        x, width = (self.lung_x(side), 0.155) if self.frontal else (0.5, 0.27)
        height = self.base - LUNG_TOP
        outline = self.ellipse(x, LUNG_TOP + 0.62 * height, width * self.width, 0.62 * height)
        dome = self.base - self.dome * (1 - ((self.x - x) / width) ** 2)
        mask: np.ndarray = outline * _within(self.y - dome)
        return mask

    def spot(self, side: str, depth: float) -> tuple[float, float]:
        """Middle of a lung, `depth` of the way down (0 the apex, 1 the diaphragm)."""
        x = self.lung_x(side) if self.frontal else 0.52
        return x + self.jitter[0], LUNG_TOP + depth * (self.base - LUNG_TOP) + self.jitter[1]

    def blend(self, mask: np.ndarray, value: float, opacity: float = 1.0) -> None:
        """Move the pixels under `mask` (size, size), 0 to 1, towards `value`."""
        self.pixels += mask * opacity * (value - self.pixels)

    def lung_x(self, side: str) -> float:
        return 0.5 + (-0.205 if side == RIGHT else 0.205) * self.width

    def ellipse(self, x: float, y: float, radius_x: float, radius_y: float) -> np.ndarray:
        """Mask (size, size) of an ellipse around (x, y)."""
        distance = np.hypot((self.x - x) / radius_x, (self.y - y) / radius_y)
        return _within((distance - 1) * min(radius_x, radius_y))

    def line(self, start: tuple[float, float], end: tuple[float, float]) -> np.ndarray:
        """Mask (size, size) of a thin straight line."""
        (x0, y0), (x1, y1) = start, end
        dx, dy = x1 - x0, y1 - y0
        along = np.clip(((self.x - x0) * dx + (self.y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
        return _within(np.hypot(self.x - x0 - along * dx, self.y - y0 - along * dy) - 0.008)


# Alterations of anatomy, before it is painted.


def cardiomegaly(phantom: Phantom, degree: str) -> None:
    phantom.heart *= {"mild": 1.3, "marked": 1.65}[degree]


def lung_volume(phantom: Phantom, level: str) -> None:
    if level == "low":
        phantom.base -= 0.13
    else:
        phantom.base += 0.1
        phantom.dome = 0.0


def scoliosis(phantom: Phantom, side: str) -> None:
    phantom.curve = -0.06 if side == RIGHT else 0.06


# Findings painted onto the anatomy.


def consolidation(phantom: Phantom, side: str, zone: str) -> None:
    x, y = phantom.spot(side, {"upper": 0.28, "lower": 0.72}[zone])
    phantom.blend(phantom.ellipse(x, y, 0.1, 0.075), 0.9, opacity=0.75)


def nodule(phantom: Phantom, side: str, size: str) -> None:
    x, y = phantom.spot(side, 0.5)
    radius = {"small": 0.024, "large": 0.05}[size]
    phantom.blend(phantom.ellipse(x, y, radius, radius), 1.0)


def atelectasis(phantom: Phantom, side: str) -> None:
    x, y = phantom.spot(side, 0.6)
    phantom.blend(phantom.line((x - 0.12, y - 0.02), (x + 0.12, y + 0.02)), 0.95)


def effusion(phantom: Phantom, side: str, size: str) -> None:
    for one in (RIGHT, LEFT) if side == BILATERAL else (side,):
        height = phantom.base - LUNG_TOP
        outward = np.abs(phantom.x - 0.5) / 0.36 if phantom.frontal else phantom.x / 0.75
        level = phantom.base - {"small": 0.2, "large": 0.46}[size] * height
        fluid = _within(level - 0.05 * (outward - 0.6) - phantom.y)
        phantom.blend(phantom.lung(one) * fluid, 0.8, opacity=0.95)


def pneumothorax(phantom: Phantom, side: str) -> None:
    x, width = (0.5 + 0.75 * (phantom.lung_x(side) - 0.5), 0.15) if phantom.frontal else (0.5, 0.23)
    lung = phantom.lung(side)
    collapsed = phantom.ellipse(x, phantom.base, width, phantom.base - LUNG_TOP - 0.13)
    phantom.blend(lung * (1 - collapsed), 0.02)
    phantom.blend(lung * 4 * collapsed * (1 - collapsed), 0.8)  # the pleural line


def pacemaker(phantom: Phantom, side: str) -> None:
    x = phantom.lung_x(side) + (-0.04 if side == RIGHT else 0.04) if phantom.frontal else 0.3
    box = _within(np.maximum(np.abs(phantom.x - x) - 0.05, np.abs(phantom.y - 0.2) - 0.035))
    phantom.blend(phantom.line((x, 0.2), (0.53, phantom.base - 0.1)), 0.95)
    phantom.blend(box, 1.0)


def central_line(phantom: Phantom, side: str) -> None:
    x = (0.2 if side == RIGHT else 0.8) if phantom.frontal else 0.45
    phantom.blend(phantom.line((x, 0.1), (0.47, 0.25)), 1.0)
    phantom.blend(phantom.line((0.47, 0.25), (0.47, 0.45)), 1.0)


@lru_cache(maxsize=4)
def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y of each pixel's centre, (1, size) and (size, 1)."""
    centres = ((np.arange(size) + 0.5) / size).astype(np.float32)
    return centres[None, :], centres[:, None]


def _within(distance: np.ndarray) -> np.ndarray:
    """1 where a signed distance is negative, 0 where positive, a soft edge of 0.02 between."""
    return np.clip(0.5 - distance / 0.02, 0, 1)
