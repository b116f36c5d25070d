"""A picture of what an autoencoder sees, should rebuild, and rebuilds."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from ssl_pcb.reports.sheet import draw_sheet


def draw_reconstructions(inputs: Tensor, targets: Tensor, rebuilt: Tensor, path: Path) -> None:
    """Draw images below each other as a PNG: what went in, what should come out, what came out, and how far off.

    Args:
        inputs: (B, C, S, S) in [0, 1]; left out where they are the targets.
        targets: (B, C, S, S).
        rebuilt: (B, C, S, S).
        path: File to write.

    Raises:
        UserError: If the file cannot be written.
    """
    difference = (rebuilt - targets).abs()
    rows = {"what the network sees": inputs} if not inputs.equal(targets) else {}
    rows |= {
        "what it should rebuild": targets,
        f"what it rebuilds (mean squared error {(rebuilt - targets).square().mean():.4f})": rebuilt,
        "difference (white: none, black: from black to white), and its mean square": 1 - difference,
    }
    errors = [f"{value:.4f}" for value in (rebuilt - targets).square().mean((1, 2, 3)).tolist()]
    draw_sheet(rows, errors, path)
