"""From board layers to the picture that a camera takes of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ssl_pcb.data.synthetic.layers import Layers
from ssl_pcb.data.synthetic.shapes import EXTENT, BoolArray, smooth_noise
from ssl_pcb.data.synthetic.styles import Board

_TRUNCATE = 3.0  # where the optics' point spread is cut off, in standard deviations

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Shot:
    """What one exposure adds to a place: drawn once, then used for the image and for its clean twin.

    Attributes:
        light: (H, W, 1) factor of the illumination.
        texture: (H, W, 1) unevenness of the surface, in grey levels.
        noise: (H, W, C) standard normal sensor noise.
    """

    light: Floats
    texture: Floats
    noise: Floats


def prepare(board: Board, image_size: int, rng: np.random.Generator) -> Shot:
    """Draw the exposure: the board's light, varied a little from image to image, and the sensor's noise."""
    camera = board.camera
    axis = np.linspace(-1, 1, image_size, dtype=np.float32)
    gx, gy = camera.gradient + rng.normal(0.0, 0.01, 2) * (not board.binary)
    gain = camera.gain * (1 + rng.normal(0.0, 0.002 if board.binary else 0.015))
    light = gain * (1 + gx * axis[None, :] + gy * axis[:, None])
    light = light * (1 - camera.vignette * (axis[None, :] ** 2 + axis[:, None] ** 2) / 2)
    texture = np.zeros((image_size, image_size), np.float32)
    if not board.binary:
        scale = image_size / EXTENT
        texture = 1.5 * smooth_noise(rng, image_size, 2 * scale) + 2.0 * smooth_noise(rng, image_size, 24 * scale)
    noise = rng.standard_normal((image_size, image_size, 1 if board.binary else 3), dtype=np.float32)
    return Shot(light[..., None].astype(np.float32), texture[..., None], noise)


def reach(board: Board, image_size: int) -> int:
    """How many pixels beyond a changed one the picture can change: by the optics and the edge shading."""
    return _blur_radius(board, image_size) + (1 if board.camera.relief else 0)


def expose(layers: Layers, copper: BoolArray, board: Board, shot: Shot) -> NDArray[np.uint8]:
    """Take the picture of ``layers`` with ``copper`` in place of their own copper.

    Returns:
        (H, W, C) uint8; C is 1 for binary boards, else 3.
    """
    camera, paint = board.camera, board.paint
    metal = _coverage(copper, len(shot.light))
    if board.binary:
        scene = _mix(np.array([paint.laminate[:1]], np.float32), np.array(paint.covered[:1]), metal)
    else:
        scene = _scene(layers, metal, board)
    light = scene * shot.light * np.asarray(camera.cast[: scene.shape[2]], np.float32)
    sigma = camera.blur * len(light) / EXTENT
    radius = _blur_radius(board, len(light))
    for axis in (0, 1):
        light = ndimage.gaussian_filter1d(light, sigma, axis=axis, mode="reflect", radius=radius)
    grey = 255 * (np.clip(light, 0, 255) / 255) ** camera.gamma
    grey = grey + shot.texture * (grey / 128)
    # Photon noise grows with the root of the signal; a tenth of it is there in the dark.
    grey = grey + shot.noise * camera.noise * np.sqrt(0.1 + 0.9 * np.clip(grey, 0, 255) / 255)
    picture: NDArray[np.uint8] = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    return picture


def _scene(layers: Layers, metal: Floats, board: Board) -> Floats:
    """Colours of a board under even light, from the masked laminate and copper up to print and holes."""
    paint, size = board.paint, len(metal)
    masked = _mix(paint.laminate, paint.covered, metal)
    relief = board.camera.relief
    if relief:
        down, right = np.gradient(metal[..., 0])
        angle = board.camera.relief_angle
        masked = masked + 2 * relief * (np.cos(angle) * right + np.sin(angle) * down)[..., None]
    scene = _mix(masked, _mix(paint.bare, paint.finish, metal), _coverage(layers.opening, size))
    scene = _mix(scene, paint.silk, _coverage(layers.silk, size))
    return _mix(scene, paint.hole, _coverage(layers.hole, size))


def _mix(below: object, above: object, share: Floats) -> Floats:
    low, high = np.asarray(below, np.float32), np.asarray(above, np.float32)
    mixed: Floats = low + (high - low) * share
    return mixed


def _coverage(layer: BoolArray, size: int) -> Floats:
    """Share of each pixel of an image of ``size`` that a layer covers; (H, W, 1)."""
    step = len(layer) // size
    count = np.zeros((size, size, 1), np.float32)
    for row in range(step):
        for column in range(step):
            count[..., 0] += layer[row::step, column::step]
    return count / np.float32(step**2)


def _blur_radius(board: Board, image_size: int) -> int:
    return int(np.ceil(_TRUNCATE * board.camera.blur * image_size / EXTENT))
