"""How one board looks: its design rules, its colours, and the light and camera it was taken with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ssl_pcb.errors import UserError

STYLES = ("mixed", "binary", "colour")

RGB = tuple[float, float, float]

# Solder mask over bare laminate, and the same mask over copper (0 to 255).
_MASKS: dict[str, tuple[RGB, RGB]] = {
    "green": ((20, 74, 44), (48, 124, 70)),
    "blue": ((18, 42, 98), (40, 84, 158)),
    "red": ((112, 20, 24), (172, 52, 46)),
    "black": ((28, 28, 31), (76, 73, 69)),
    "white": ((170, 175, 172), (226, 225, 216)),
}
_FINISHES: dict[str, RGB] = {"gold": (214, 178, 98), "tin": (196, 199, 202), "copper": (204, 132, 88)}


@dataclass(frozen=True)
class Rules:
    """Design rules, in layout units (1/128 of the image side).

    Attributes:
        trace: Usual trace width.
        space: Smallest free space between two nets.
        wide: Width of power traces.
        pad: Diameter or side of through-hole pads.
        drill: Hole diameter as a share of the pad.
        square: Probability that a through-hole pad is square.
        mix: Relative frequency of bus, power trace, SMD row and through-hole row.
        pour: Probability that a place has a copper fill.
        roughness: Strength of the etched edge's unevenness.
    """

    trace: float
    space: float
    wide: float
    pad: float
    drill: float
    square: float
    mix: tuple[float, float, float, float]
    pour: float
    roughness: float


@dataclass(frozen=True)
class Paint:
    """Colours, each RGB in 0 to 255; ``name`` is the solder mask's colour or ``binary``."""

    name: str
    laminate: RGB
    covered: RGB
    finish: RGB
    bare: RGB
    hole: RGB
    silk: RGB


@dataclass(frozen=True)
class Camera:
    """Light and sensor.

    Attributes:
        gain: Overall brightness factor.
        gradient: Relative change of the light from the centre to the right and to the lower edge.
        vignette: Relative loss of light in the corners.
        gamma: Exponent of the tone curve.
        cast: Factor of each colour channel.
        blur: Standard deviation of the optics in units (pixels of a 128 px image).
        noise: Standard deviation of the sensor noise at white, in grey levels.
        relief: Strength of the shading at copper edges, in grey levels.
        relief_angle: Direction the light comes from, in radians.
    """

    gain: float
    gradient: tuple[float, float]
    vignette: float
    gamma: float
    cast: RGB
    blur: float
    noise: float
    relief: float
    relief_angle: float


@dataclass(frozen=True)
class Board:
    """Everything that the images of one board share."""

    rules: Rules
    paint: Paint
    camera: Camera

    @property
    def binary(self) -> bool:
        """Whether its images are single-channel, near black and white."""
        return self.paint.name == "binary"


def stream(seed: int, board: int, place: int) -> np.random.SeedSequence:
    """The random stream of a place of a board; 0 is the board itself, ``i + 1`` its image ``i``."""
    return np.random.SeedSequence([seed, board, place])


def board_style(seed: int, board: int, style: str) -> Board:
    """Draw the appearance of board number ``board``; even boards of a ``mixed`` set are binary.

    Raises:
        UserError: On an unknown style.
    """
    if style not in STYLES:
        raise UserError(f"style '{style}' is not one of {', '.join(STYLES)}")
    rng = np.random.default_rng(stream(seed, board, 0))
    binary = style == "binary" or (style == "mixed" and board % 2 == 0)
    rules = _rules(rng)
    if binary:
        return Board(rules, _binary_paint(rng), _binary_camera(rng))
    # Neighbouring colour boards take the solder masks in turn, so that even small sets show several.
    order = np.random.default_rng(stream(seed, 0, 0)).permutation(len(_MASKS))
    # Each round of them starts two colours on, lest a colour always falls into the same split.
    turn = board // 2 if style == "mixed" else board
    turn += 2 * (turn // len(_MASKS))
    return Board(rules, _colour_paint(rng, list(_MASKS)[order[turn % len(_MASKS)]]), _colour_camera(rng))


def _rules(rng: np.random.Generator) -> Rules:
    trace = rng.uniform(5.0, 9.0)
    mix = rng.dirichlet((2.5, 2.0, 2.5, 2.5))
    return Rules(
        trace=trace,
        space=rng.uniform(0.8, 1.2) * trace,
        wide=rng.uniform(14.0, 26.0),
        pad=rng.uniform(15.0, 24.0),
        drill=rng.uniform(0.35, 0.55),
        square=rng.uniform(0.0, 0.5),
        mix=(float(mix[0]), float(mix[1]), float(mix[2]), float(mix[3])),
        pour=rng.uniform(0.1, 0.6),
        roughness=rng.uniform(0.04, 0.16),
    )


def _near(rng: np.random.Generator, colour: RGB, spread: float) -> RGB:
    """A colour like ``colour``: mostly brighter or darker, a little of another hue."""
    factor = rng.normal(1.0, spread) * rng.normal(1.0, spread / 3, 3)
    red, green, blue = np.clip(np.asarray(colour) * factor, 0, 255)
    return float(red), float(green), float(blue)


def _binary_paint(rng: np.random.Generator) -> Paint:
    dark, light = rng.uniform(0, 12), rng.uniform(243, 255)
    copper, ground = (dark, dark, dark), (light, light, light)
    return Paint("binary", ground, copper, copper, ground, ground, ground)


def _colour_paint(rng: np.random.Generator, name: str) -> Paint:
    laminate, covered = _MASKS[name]
    finish = _FINISHES[str(rng.choice(list(_FINISHES)))]
    silk = (52.0, 52.0, 55.0) if name == "white" else (228.0, 228.0, 220.0)
    return Paint(
        name=name,
        laminate=_near(rng, laminate, 0.06),
        covered=_near(rng, covered, 0.06),
        finish=_near(rng, finish, 0.05),
        bare=_near(rng, (128, 110, 68), 0.08),
        hole=_near(rng, (16, 15, 15), 0.2),
        silk=_near(rng, silk, 0.03),
    )


def _binary_camera(rng: np.random.Generator) -> Camera:
    return Camera(
        gain=rng.uniform(0.97, 1.0),
        gradient=(rng.uniform(-0.02, 0.02), rng.uniform(-0.02, 0.02)),
        vignette=0.0,
        gamma=1.0,
        cast=(1.0, 1.0, 1.0),
        blur=rng.uniform(0.35, 0.6),
        noise=rng.uniform(0.3, 2.5),
        relief=0.0,
        relief_angle=0.0,
    )


def _colour_camera(rng: np.random.Generator) -> Camera:
    return Camera(
        gain=rng.uniform(0.8, 1.12),
        gradient=(rng.uniform(-0.22, 0.22), rng.uniform(-0.22, 0.22)),
        vignette=rng.uniform(0.0, 0.15),
        gamma=rng.uniform(0.8, 1.2),
        cast=_near(rng, (1.0, 1.0, 1.0), 0.1),
        blur=rng.uniform(0.45, 1.0),
        noise=rng.uniform(1.5, 6.0),
        relief=rng.uniform(4.0, 12.0),
        relief_angle=rng.uniform(0.0, 2 * np.pi),
    )
