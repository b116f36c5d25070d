"""Make the README's pictures from the embedded synthetic boards.

python scripts/readme_pictures.py
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

from ssl_pcb.audit.contact_sheet import contact_sheet
from ssl_pcb.config.augment import ViewConfig
from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.synthetic.embedded import embedded_manifest
from ssl_pcb.data.synthetic.sample import render_sample
from ssl_pcb.imaging.decode import decode
from ssl_pcb.stages.audit_augmentations import RANDOM_CROP

DOCS = Path(__file__).resolve().parents[1] / "docs"
TYPES = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
PURPLE = (200, 0, 200)


def boards(path: Path) -> None:
    """Each defect type once, on a binary and on a colour board, with its box; the clean twin below."""
    gap, size = 6, 128
    sheet = Image.new("RGB", (len(TYPES) * 2 * (size + gap) - gap, 2 * (size + gap) - gap), "white")
    for column in range(2 * len(TYPES)):
        name = TYPES[column // 2]
        board = 2 * (column // 2) + column % 2  # even boards are binary, odd ones in colour
        sample = render_sample(0, board, column, image_size=size, defect_rate=1.0, type_rates={name: 1.0})
        for row, pixels in enumerate((sample.image, sample.twin)):
            picture = Image.fromarray(pixels.squeeze()).convert("RGB")
            if row == 0:
                for box in sample.boxes:
                    ImageDraw.Draw(picture).rectangle(box, outline=PURPLE)
            sheet.paste(picture, (column * (size + gap), row * (size + gap)))
    _save_small(sheet, path)


def views(path: Path) -> None:
    """Defects under the default views and under random crops."""
    manifest = Manifest.read(embedded_manifest())
    policies = {"ssl-pcb default": ViewConfig(), "RandomResizedCrop(0.08, 1)": RANDOM_CROP}
    contact_sheet(manifest, DataConfig(), policies, path, samples=8, per_sample=2, seed=1)
    _save_small(Image.fromarray(decode(path)), path)


def _save_small(picture: Image.Image, path: Path) -> None:
    picture.quantize(256).save(path, optimize=True)


if __name__ == "__main__":
    DOCS.mkdir(exist_ok=True)
    boards(DOCS / "boards.png")
    views(DOCS / "views.png")
