"""Small pictures and tar files."""

import io
import json
import tarfile

import numpy as np
from PIL import Image

from ssl_pcb.config.data import DataConfig

SIZE = 32


def settings(channels="auto", bit_depth=8, **more):
    return DataConfig(**{"image_size": SIZE, "channels": channels, "bit_depth": bit_depth} | more)


def picture(number, side=SIZE):
    """A colour image whose first pixel is its number."""
    pixels = np.random.default_rng([3, number]).integers(0, 256, (side, side, 3), np.uint8)
    pixels[0, 0] = number % 256, number // 256, 77
    return pixels


def numbers(batch):
    """The numbers of the pictures in a batch."""
    return (batch.inputs[:, 0, 0, 0].int() + 256 * batch.inputs[:, 1, 0, 0].int()).tolist()


def encoded(pixels, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def write_tar(path, members):
    """A tar file of (name, contents) or ready headers."""
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            member = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def foreign(path, numbers, facts=lambda number: {"split": "train"}):
    """A shard that another program made."""
    members = []
    for number in numbers:
        members.append((f"{number:05d}.png", encoded(picture(number))))
        if facts(number) is not None:
            members.append((f"{number:05d}.json", json.dumps(facts(number)).encode()))
    return write_tar(path, members)
