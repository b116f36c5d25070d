"""Defects that know nothing of the board's pattern: pieces of the picture in the wrong place, and scratches."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_pcb.augment.defects.pattern import Pattern
from ssl_pcb.augment.defects.shapes import Shapes, anywhere, blob, box, no_thinner, soft_blob, stroke


def cut_paste(images: Tensor, shapes: Shapes, pattern: Pattern) -> Tensor:
    """Cover a place with what lies elsewhere in the same picture (Li et al. 2021, arXiv 2104.04015).

    Half of the patches are rectangles as in the paper, half are ragged blobs.
    """
    at, content = _from_elsewhere(images, shapes)
    side = images.shape[-1]
    cover = torch.where((shapes.choice < 0.5)[:, None, None, None], box(shapes, at, side), blob(shapes, at, side))
    return blend(images, content, cover * shapes.contrast[:, None, None, None])


def soft_paste(images: Tensor, shapes: Shapes, pattern: Pattern) -> Tensor:
    """Blend what lies elsewhere smoothly into a place, so that no hard edge tells of it.

    After the Poisson-blended patches of natural synthetic anomalies (Schlueter et al. 2022, arXiv 2109.15222), with a
    fading weight in place of their solver.
    """
    at, content = _from_elsewhere(images, shapes)
    return blend(images, content, soft_blob(shapes, at, images.shape[-1]) * shapes.contrast[:, None, None, None])


def scar(images: Tensor, shapes: Shapes, pattern: Pattern) -> Tensor:
    """A thin straight scratch of one colour, between the picture's two tones and a little beyond.

    Li et al. 2021 (arXiv 2104.04015), whose scars are thin turned rectangles.
    """
    at = anywhere(shapes.place, shapes, images.shape[-1])
    thinned = shapes.but(aspect=no_thinner(shapes.aspect / 4, 2 * shapes.radius))
    share = (1.4 * shapes.choice - 0.2)[:, None, None, None]
    content = torch.lerp(pattern.dark, pattern.bright, share).clamp(0, 1).expand_as(images)
    return blend(images, content, stroke(thinned, at, images.shape[-1]) * shapes.contrast[:, None, None, None])


def blend(images: Tensor, content: Tensor, share: Tensor) -> Tensor:
    """``images`` with ``share`` (B, 1, S, S) of ``content``; where that is 0, the same to the last bit."""
    return torch.where(share > 0, torch.lerp(images, content, share), images)


def _from_elsewhere(images: Tensor, shapes: Shapes) -> tuple[Tensor, Tensor]:
    """A place (B, 2), and the picture moved so that another of its places lies there."""
    side = images.shape[-1]
    at, origin = anywhere(shapes.place, shapes, side), anywhere(shapes.source, shapes, side)
    return at, _shifted(images, (origin - at).round().long())


def _shifted(images: Tensor, offset: Tensor) -> Tensor:
    """Each picture moved by whole pixels, so that (x, y) shows what was at (x, y) + offset; ends repeat."""
    side = images.shape[-1]
    line = torch.arange(side, device=images.device)
    columns = (line + offset[:, :1]).clamp(0, side - 1)
    rows = (line + offset[:, 1:]).clamp(0, side - 1)
    sample = torch.arange(len(images), device=images.device)[:, None, None]
    return images[sample, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
