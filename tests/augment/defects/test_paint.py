"""Painted defects: what changes, where, and that nothing else decides it."""

import pytest
import torch

from ssl_pcb.augment.synthetic_defects import NULL, WAVES, Shapes, cut_paste, draw_shapes, paint_defects, tone
from ssl_pcb.config.defects import DefectConfig

SIZE = 64
KINDS = ("cut_paste", "tone")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def boards(count=32, channels=1, seed=5):
    """Two tones: bars at random places, with a little grain."""
    drawn = generator(seed)
    images = torch.full((count, channels, SIZE, SIZE), 0.1)
    for image in images:
        for at in torch.randint(0, SIZE - 8, (3,), generator=drawn).tolist():
            image[:, :, at : at + 6] = 0.9
    return (images + 0.02 * torch.rand(images.shape, generator=drawn)).clamp(0, 1)


def paint(images, seed=0, **keys):
    return paint_defects(images, DefectConfig(**keys), generator(seed))


@pytest.mark.parametrize("channels", [1, 3])
def test_nulls_are_untouched_and_the_mask_is_exact(channels):
    images = boards(channels=channels)
    before = images.clone()
    found = paint(images, null_share=0.5)
    assert torch.equal(images, before)
    null = found.kinds == NULL
    assert 0 < null.sum() < len(images)
    assert torch.equal(found.images[null], images[null])
    assert torch.equal(found.mask, (found.images != images).any(1, keepdim=True))
    assert not found.mask[null].any()
    change = (found.images - images).abs().amax(1, keepdim=True)[found.mask]
    assert change.min() >= 1 / 255
    assert found.images.min() >= 0
    assert found.images.max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_nearly_every_picture_with_a_pattern_gets_a_visible_defect(kind):
    images = boards(100)
    found = paint(images, generators=(kind,), null_share=0)
    change = (found.images - images).abs().amax((1, 2, 3))
    assert (change > 0.2).float().mean() > (0.9 if kind == "tone" else 0.6)  # cut_paste may paste like on like


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_null_share_at_its_ends(share):
    found = paint(boards(), null_share=share)
    assert (found.kinds == NULL).float().mean() == share


def test_one_generator_alone():
    assert set(paint(boards(), generators=("tone",)).kinds.tolist()) == {NULL, 0}


@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_decides(kind):
    images = boards()
    same, again, other = (paint(images, seed, generators=(kind,)) for seed in (1, 1, 2))
    assert torch.equal(same.images, again.images)
    assert not torch.equal(same.images, other.images)


@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_do_not(kind):
    images = boards()
    strangers = boards(seed=9)
    strangers[3] = images[3]
    for seed in range(5):
        alike = [paint(batch, seed, generators=(kind,), null_share=0).images[3] for batch in (images, strangers)]
        assert torch.equal(*alike)


@pytest.mark.parametrize("sizes", [(5, 10), (20, 40)])
@pytest.mark.parametrize("kind", KINDS)
def test_sizes_are_in_pixels_and_inside_the_picture(kind, sizes):
    low, high = sizes
    images = torch.rand(200, 1, SIZE, SIZE, generator=generator(3))  # every covered pixel changes
    found = paint(images, generators=(kind,), null_share=0, min_size=low, max_size=high, min_contrast=1.0)
    extents = []
    for mask in found.mask[:, 0]:
        rows, columns = mask.nonzero(as_tuple=True)
        reach = (rows.max() - rows.min()).item() + 1, (columns.max() - columns.min()).item() + 1
        extents.append(max(reach))
        assert rows.min() >= 1 and rows.max() <= SIZE - 2  # noqa: PT018
        assert columns.min() >= 1 and columns.max() <= SIZE - 2  # noqa: PT018
    assert max(extents) <= high + 2  # a soft edge of half a pixel on both sides
    assert max(extents) > 0.6 * high
    assert min(extents) < high / 2 + 2


def shapes(**changes):
    """One shape of 12 px, round, at the picture's middle."""
    cells = SIZE // 4
    drawn = {
        "radius": torch.tensor([6.0]), "aspect": torch.tensor([1.0]), "angle": torch.tensor([0.0]),
        "waves": torch.zeros(1, WAVES, 2), "contrast": torch.tensor([1.0]), "place": torch.full((1, 2), 0.5),
        "source": torch.full((1, 2), 0.5), "choice": torch.tensor([0.9]), "lottery": torch.zeros(1, 1, cells, cells),
    }  # fmt: skip
    return Shapes(**(drawn | {name: torch.tensor(value) for name, value in changes.items()}))


def test_cut_paste_shows_what_lies_at_the_source():
    image = torch.rand(1, 1, SIZE, SIZE)
    painted = cut_paste(image, shapes(source=[[0.1, 0.9]]))
    room = SIZE - 14
    dx, dy = round((0.1 - 0.5) * room), round((0.9 - 0.5) * room)
    rows, columns = slice(30, 35), slice(30, 35)  # well inside the blob around (32, 32)
    shifted = image[..., 30 + dy : 35 + dy, 30 + dx : 35 + dx]
    assert torch.equal(painted[..., rows, columns], shifted)
    assert torch.equal(painted[..., :20, :], image[..., :20, :])


@pytest.mark.parametrize(("choice", "inside"), [(0.1, [0.9]), (0.6, [0.1]), (0.95, [0.1, 0.9])])
def test_tone_fills_with_the_pictures_own_tones(choice, inside):
    image = torch.full((1, 1, SIZE, SIZE), 0.1)
    image[..., 32:] = 0.9
    lottery = torch.zeros(1, 1, SIZE // 4, SIZE // 4)
    lottery[0, 0, 8, 7] = 9.0  # the cell at the edge of the two halves, in the middle of the picture
    painted = tone(image, shapes(choice=[choice], lottery=lottery.tolist()))
    middle = painted[0, 0, 33:35, 27:35]
    assert sorted({round(value, 4) for value in middle.flatten().tolist()}) == inside
    changed = ((painted - image).abs() > 1e-3)[0, 0].nonzero()
    assert (changed[:, 1] < 32).any() == (choice != 0.6)
    assert (changed[:, 1] >= 32).any() == (choice != 0.1)


def test_tone_lies_on_the_pattern_and_not_in_the_open():
    """Bars stand in the left third alone; blobs of 6 px must touch them although most of the picture is empty."""
    image = torch.full((200, 1, SIZE, SIZE), 0.1)
    image[..., 10:20] = 0.9
    image += 0.02 * torch.rand(image.shape, generator=generator())
    found = paint(image, generators=("tone",), null_share=0, min_size=6, max_size=6)
    columns = [mask[0].nonzero()[:, 1].float().mean() for mask in found.mask if mask.any()]
    assert (torch.stack(columns) < 27).float().mean() > 0.9


def test_a_flat_picture_breaks_nothing():
    flat = torch.full((8, 1, SIZE, SIZE), 0.5)
    found = paint(flat, null_share=0)
    assert torch.isfinite(found.images).all()


def test_larger_defects_than_the_picture_are_made_to_fit():
    shapes = draw_shapes(DefectConfig(min_size=500, max_size=900), 4, SIZE, generator())
    assert (shapes.radius <= SIZE / 2).all()


def test_default_sizes_follow_the_picture():
    assert DefectConfig().sizes(128) == pytest.approx((12.8, 44.8))
    assert DefectConfig(min_size=3).sizes(64) == (3, pytest.approx(22.4))
    assert DefectConfig(max_size=4).sizes(128) == (4, 4)
