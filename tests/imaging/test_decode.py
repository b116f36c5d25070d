import struct
import warnings
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from ssl_pcb.errors import UserError
from ssl_pcb.imaging.decode import MAX_PIXELS, decode, probe, significant_bits, turn_boxes
from ssl_pcb.imaging.pages import TIFF_SUBFILE_TYPE

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (9, 14), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (9, 14, 3), dtype=np.uint8)


def save(array: np.ndarray, path: Path, **options) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "tiff", "bmp"])
def test_lossless_formats_come_back_exactly(tmp_path, suffix):
    grey, colour = save(GREY, tmp_path / f"g.{suffix}"), save(COLOUR, tmp_path / f"c.{suffix}")
    assert (decode(grey) == GREY[..., None]).all()
    assert (decode(colour) == COLOUR).all()
    assert probe(grey).channels == 1
    assert probe(colour) == type(probe(colour))(width=14, height=9, channels=3, bits=8, orientation=1)


def test_channel_conversion_is_itu_r_601_and_repetition(tmp_path):
    colour = save(COLOUR, tmp_path / "c.png")
    luma = COLOUR.astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(decode(colour, channels=1)[..., 0] - luma).max() <= 1
    grey = decode(save(GREY, tmp_path / "g.png"), channels=3)
    assert grey.shape == (9, 14, 3)
    assert (grey == GREY[..., None]).all()


@pytest.mark.parametrize(
    ("mode", "channels"), [("1", 1), ("L", 1), ("LA", 1), ("P", 3), ("RGB", 3), ("RGBA", 3), ("CMYK", 3)]
)
def test_every_mode_probes_and_decodes_alike(tmp_path, mode, channels):
    path = tmp_path / "x.tif"
    Image.fromarray(COLOUR).convert(mode).save(path)
    assert probe(path).channels == channels
    assert decode(path).shape == (9, 14, channels)


def test_alpha_is_dropped_not_blended(tmp_path):
    path = save(np.dstack([COLOUR, np.zeros_like(GREY)]), tmp_path / "a.png")
    assert (decode(path) == COLOUR).all()


def test_transparent_palette_gives_no_warning(tmp_path):
    path = tmp_path / "p.png"
    Image.fromarray(COLOUR).quantize(8).save(path, transparency=bytes([0, 128]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(path, channels=1).shape == (9, 14, 1)


FRAMES = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tiff"])
@pytest.mark.parametrize("reader", [decode, probe])
def test_several_pictures_in_one_file_are_refused(tmp_path, suffix, reader):
    """Else the second page of a board, with the defect, would pass unseen."""
    path = tmp_path / f"a.{suffix}"
    FRAMES[0].save(path, save_all=True, append_images=FRAMES[1:])
    with pytest.raises(UserError, match=f"a.{suffix}: holds several pictures"):
        reader(path)
    FRAMES[0].save(path, save_all=True)
    assert reader(path)[4, 4, 2] < 50 if reader is decode else reader(path).width == 8


def small(**tags):
    found = Image.new("RGB", (2, 2), "blue")
    found.encoderinfo = {"tiffinfo": {TIFF_SUBFILE_TYPE: 1}} if tags.get("preview", True) else {}
    return found


def test_previews_beside_a_picture_are_none(tmp_path):
    photograph, scan = tmp_path / "a.mpo", tmp_path / "a.tiff"
    FRAMES[0].save(photograph, save_all=True, append_images=[small()])
    FRAMES[0].save(scan, save_all=True, append_images=[small()])
    for path in (photograph, scan):
        red, _, blue = decode(path, channels=3)[4, 4].tolist()
        assert red > 200
        assert blue < 50


@pytest.mark.parametrize(
    ("suffix", "more"),
    [
        ("tiff", [small(), FRAMES[1]]), ("tiff", [small(preview=False)]), ("mpo", [FRAMES[1]]),
        ("mpo", [small(), FRAMES[1]]), ("tiff", [small()] * 20),
    ],
)  # fmt: skip
def test_what_is_no_preview_is_another_picture(tmp_path, suffix, more):
    FRAMES[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=more)
    with pytest.raises(UserError, match="holds several pictures"):
        decode(tmp_path / f"a.{suffix}")


def write_16bit(array: np.ndarray, path: Path) -> Path:
    encode = imagecodecs.png_encode if path.suffix == ".png" else imagecodecs.tiff_encode
    path.write_bytes(encode(np.ascontiguousarray(array)))
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("shape", [(9, 14), (9, 14, 3), (9, 14, 4)])
def test_16_bit_keeps_the_upper_8_of_the_stated_bits(tmp_path, suffix, shape):
    deep = RNG.integers(0, 4096, shape, dtype=np.uint16)
    deep.flat[0] = 4095
    path = write_16bit(deep, tmp_path / f"d{suffix}")
    seen = deep.reshape(9, 14, -1)[..., :3]
    info = probe(path)
    assert (info.bits, info.channels) == (16, seen.shape[2])
    assert (decode(path, bit_depth=12) == seen >> 4).all()
    assert (decode(path) == seen >> 8).all()
    assert significant_bits(path) == 12
    with pytest.raises(UserError, match=rf"d{suffix}.*4095.*data.bit_depth to 12"):
        decode(path, bit_depth=10)


def test_16_bit_grey_with_alpha_is_grey(tmp_path):
    deep = RNG.integers(0, 65536, (9, 14, 2), dtype=np.uint16)
    path = write_16bit(deep, tmp_path / "la.png")
    assert probe(path).channels == 1
    assert (decode(path)[..., 0] == deep[..., 0] >> 8).all()


@pytest.mark.parametrize("kind", ["<u2", ">u2"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_both_byte_orders(tmp_path, kind, compression):
    deep = RNG.integers(0, 65536, (9, 14), dtype=np.uint16)
    path = save(deep.astype(kind), tmp_path / "d.tif", compression=compression)
    assert (decode(path)[..., 0] == deep >> 8).all()


def test_planar_16_bit_tiff(tmp_path):
    deep = RNG.integers(0, 65536, (3, 9, 14), dtype=np.uint16)
    path = tmp_path / "planes.tif"
    path.write_bytes(imagecodecs.tiff_encode(deep, photometric="rgb", planarconfig="separate"))
    assert (decode(path) == np.moveaxis(deep, 0, -1) >> 8).all()


def test_significant_bits_of_8_bit_files_and_of_every_depth(tmp_path):
    assert significant_bits(save(GREY, tmp_path / "g.png")) == 8
    for depth in (8, 10, 12, 14, 16):
        deep = np.full((4, 4), 2**depth - 1, np.uint16)
        path = write_16bit(deep, tmp_path / "d.png")
        assert significant_bits(path) == depth
        assert (decode(path, bit_depth=depth) == 255).all()


def test_float_pixels_are_refused(tmp_path):
    path = save(np.zeros((4, 4), np.float32), tmp_path / "f.tif")
    with pytest.raises(UserError, match=r"f\.tif: has 32-bit pixels"):
        decode(path)


def marked(size: tuple[int, int], box: tuple[int, int, int, int], channels: int) -> np.ndarray:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = 255
    return image if channels == 3 else image[..., 0]


def bounding_box(image: np.ndarray) -> tuple[int, ...]:
    rows, columns = np.nonzero(image[..., 0] > 128)
    return (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


@pytest.mark.parametrize("suffix", ["png", "tif", "lzw.tif", "jpg", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_turn_along_with_the_pixels(tmp_path, orientation, suffix):
    stored_box = (16, 8, 40, 24)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"webp": {"lossless": True}, "lzw.tif": {"compression": "tiff_lzw"}}.get(suffix, {})
    for channels in (1, 3):
        path = save(marked((96, 64), stored_box, channels), tmp_path / f"o.{suffix}", exif=exif, **options)
        info, image = probe(path), decode(path)
        assert info.orientation == orientation
        assert (info.height, info.width) == image.shape[:2] == ((96, 64) if orientation > 4 else (64, 96))
        assert info.stored_size == (96, 64)
        assert turn_boxes([stored_box], orientation, 96, 64) == [bounding_box(image)]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_16_bit_files_are_turned_like_8_bit_ones(tmp_path, orientation):
    box = (16, 8, 40, 24)
    deep = marked((96, 64), box, 3).astype(np.uint16) * 257
    path = tmp_path / "d.tif"
    path.write_bytes(deep_tiff(deep, orientation))
    assert probe(path).orientation == orientation
    assert turn_boxes([box], orientation, 96, 64) == [bounding_box(decode(path))]
    path = write_16bit(deep, tmp_path / "d.png")
    exif = Image.Exif()
    exif[0x0112] = orientation
    plain = path.read_bytes()
    path.write_bytes(plain[:33] + png_chunk(b"eXIf", exif.tobytes()[6:]) + plain[33:])
    assert turn_boxes([box], orientation, 96, 64) == [bounding_box(decode(path))]


def deep_tiff(deep: np.ndarray, orientation: int = 1) -> bytes:
    """A plain 16-bit RGB TIFF whose directory stands before the pixels."""
    height, width = deep.shape[:2]
    entries = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, 200), (259, 3, 1, 1), (262, 3, 1, 2)]
    entries += [(273, 4, 1, 256), (274, 3, 1, orientation), (277, 3, 1, 3), (278, 3, 1, height)]
    entries += [(279, 4, 1, deep.nbytes)]
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(struct.pack("<HHII", *e) for e in entries)
    head = head.ljust(200, b"\0") + struct.pack("<3H", 16, 16, 16)
    return head.ljust(256, b"\0") + deep.astype("<u2").tobytes()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def test_png_exif_behind_the_pixels_counts_for_probe_and_decode(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for channels, deep in ((1, False), (3, True)):
        image = marked((96, 64), (16, 8, 40, 24), channels)
        plain = imagecodecs.png_encode(np.ascontiguousarray(image.astype(np.uint16) * 257 if deep else image))
        late = plain[:-12] + png_chunk(b"eXIf", exif.tobytes()[6:]) + plain[-12:]
        path = tmp_path / "late.png"
        path.write_bytes(late)
        assert probe(path).orientation == 6
        assert decode(path).shape[:2] == (96, 64)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "gif", "webp"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7])
def test_truncated_files_are_named_in_one_line(tmp_path, suffix, share):
    whole = save(RNG.integers(0, 256, (80, 90, 3), dtype=np.uint8), tmp_path / f"w.{suffix}").read_bytes()
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError, match=rf"cut\.{suffix}: ") as caught:
        decode(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compression", ["none", "lzw", "deflate"])
@pytest.mark.parametrize("channels", [1, 3])
def test_truncated_16_bit_tiff(tmp_path, compression, channels):
    deep = RNG.integers(0, 65536, (80, 90, channels), dtype=np.uint16).squeeze()
    path = tmp_path / "cut.tif"
    whole = imagecodecs.tiff_encode(deep, compression=compression)
    offset = int.from_bytes(whole[4:8], "little")
    path.write_bytes(whole[: len(whole) // 2])
    assert offset  # libtiff writes the directory last: this file has lost it
    with pytest.raises(UserError, match=r"cut\.tif"):
        decode(path)


def test_16_bit_tiff_with_its_pixels_cut_off(tmp_path):
    # A directory in front of the pixels survives the cut; decoders that fill with zeros would go on.
    deep = RNG.integers(0, 65536, (80, 90, 3), dtype=np.uint16)
    path = tmp_path / "cut.tif"
    path.write_bytes(deep_tiff(deep))
    assert (decode(path) == deep >> 8).all()
    path.write_bytes(deep_tiff(deep)[: deep.nbytes // 2])
    assert probe(path).bits == 16
    with pytest.raises(UserError, match=r"cut\.tif"):
        decode(path)


def test_missing_empty_text_and_folder(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "vector.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    for name, words in {
        "gone.png": "no such image file",
        "empty.png": "empty",
        "text.png": "not an image",
        "vector.eps": "not an image",
        ".": "folder",
    }.items():
        for read in (probe, decode, significant_bits):
            with pytest.raises(UserError, match=words):
                read(tmp_path / name)


def test_bombs_are_refused_from_the_header_and_large_panels_are_not(tmp_path):
    header = b"\x89PNG\r\n\x1a\n"
    for side, fits in ((16384, True), (20000, False)):
        size = side.to_bytes(4, "big") * 2
        path = tmp_path / "big.png"
        path.write_bytes(header + png_chunk(b"IHDR", size + b"\x08\x00\x00\x00\x00") + png_chunk(b"IDAT", b"x\x9c"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if fits:
                assert probe(path).width == side
            else:
                with pytest.raises(UserError, match=rf"big\.png.*{MAX_PIXELS:,}.*data\.max_pixels"):
                    decode(path)
    with pytest.raises(UserError, match=r"14 x 9 pixels"):
        decode(save(GREY, tmp_path / "g.png"), max_pixels=100)


def test_broken_exif_does_not_hide_the_image(tmp_path):
    path = save(COLOUR, tmp_path / "x.jpg", exif=b"Exif\0\0garbage that is no TIFF header")
    assert probe(path).orientation == 1
    assert decode(path).shape == (9, 14, 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_png_files_decode_as_pillow_reads_them(tmp_path, mode):
    """Plain ones go through another decoder, for its speed."""
    large = RNG.integers(0, 256, (70, 50, 3), dtype=np.uint8)
    path = tmp_path / "x.png"
    for options in (
        {},
        {"transparency": {"L": 7, "RGB": (1, 2, 3)}[mode]} if mode in ("L", "RGB") else {},
        {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"},
    ):
        Image.fromarray(large).convert(mode).save(path, **options)
        with Image.open(path) as image:
            expected = np.array(image.convert("L" if mode in ("1", "L", "LA") else "RGB"))
        assert (decode(path).squeeze() == expected).all()


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.98])
def test_a_truncated_plain_png_is_refused(tmp_path, share):
    path = save(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8), tmp_path / "x.png")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=r"x\.png: damaged or truncated"):
        decode(path)
    middle = len(data) // 2
    path.write_bytes(data[:middle] + bytes(100) + data[middle + 100 :])
    with pytest.raises(UserError, match=r"x\.png: damaged or truncated"):
        decode(path)
