"""Painted defects: what changes, where, and that nothing else decides it."""

import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from ssl_pcb.augment.defects.paint import NULL, paint_defects
from ssl_pcb.augment.defects.patches import cut_paste
from ssl_pcb.augment.defects.pattern import Pattern, across, on_an_edge
from ssl_pcb.augment.defects.shapes import WAVES, Shapes, draw_shapes
from ssl_pcb.config.defects import DefectConfig

SIZE = 64
KINDS = DefectConfig().generators
ON_THE_PATTERN = ("break", "bridge", "nick", "spur", "pin_hole", "island")


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
    left = null & ~found.retouched
    assert torch.equal(found.images[left], images[left])
    changed = (found.images != images).any(1, keepdim=True)
    assert torch.equal((found.change > 0)[~null], changed[~null])
    assert not found.change[null].any()
    assert changed[found.retouched].flatten(1).any(1).all()
    difference = (found.images - images).abs().amax(1, keepdim=True)[found.change > 0]
    assert torch.equal(found.change[found.change > 0], difference)
    assert difference.min() >= 1 / 255
    assert found.images.min() >= 0
    assert found.images.max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_nearly_every_picture_with_a_pattern_gets_a_visible_defect(kind):
    images = boards(100)
    found = paint(images, generators=(kind,), null_share=0)
    change = (found.images - images).abs().amax((1, 2, 3))
    assert (change > 0.2).float().mean() > (0.9 if kind in ON_THE_PATTERN else 0.5)  # others may paste like on like


def test_a_null_share_of_none_paints_all():
    assert (paint(boards(), null_share=0).kinds != NULL).all()


@pytest.mark.parametrize("contrast", [0.8, 0.3, 0.1, 0.05])
@pytest.mark.parametrize("kind", ON_THE_PATTERN)
def test_what_is_painted_on_a_faint_board_is_clear_as_well(kind, contrast):
    strong = boards(100)
    faint = 0.3 + contrast / 0.8 * (strong - 0.1)
    clear, also_clear = (paint(each, generators=(kind,), null_share=0).clear for each in (strong, faint.clamp(0, 1)))
    assert also_clear.flatten(1).any(1).float().mean() > 0.9
    assert also_clear.sum() > 0.5 * clear.sum()


def test_on_strong_boards_clear_is_a_tenth_of_full_scale():
    assert torch.equal(paint(boards()).least, torch.full((32, 1, 1, 1), 0.1))


def test_a_change_that_grain_would_hide_is_not_clear():
    grain = 0.5 + 0.01 * torch.randn(50, 1, SIZE, SIZE, generator=generator())
    assert (Pattern.of(grain).contrast > 0.4).all()  # one tone, and what would stand out on it
    assert paint(grain, generators=("spur",), null_share=0).clear.flatten(1).any(1).all()
    assert not paint(grain, generators=("nick",), null_share=0).clear.any()  # of what is not there


def test_one_generator_alone():
    assert set(paint(boards(), generators=("nick",)).kinds.tolist()) == {NULL, 0}


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
    for mask in found.change[:, 0] > 0:
        if not mask.any():  # pasted on itself
            continue
        rows, columns = mask.nonzero(as_tuple=True)
        reach = (rows.max() - rows.min()).item() + 1, (columns.max() - columns.min()).item() + 1
        extents.append(max(reach))
        assert rows.min() >= 1 and rows.max() <= SIZE - 2  # noqa: PT018
        assert columns.min() >= 1 and columns.max() <= SIZE - 2  # noqa: PT018
    assert max(extents) <= high + 2  # a soft edge of half a pixel on both sides
    assert len(extents) > 190
    if kind not in ("pin_hole", "island"):  # they are as small as the place needs
        assert max(extents) > 0.6 * high
    assert min(extents) < high / 2 + 2


def shapes(**changes):
    """One shape of 12 px, round, at the picture's middle."""
    cells = SIZE // 4
    drawn = {
        "radius": torch.tensor([6.0]), "limit": torch.tensor([9.0]), "aspect": torch.tensor([1.0]),
        "angle": torch.tensor([0.0]),
        "waves": torch.zeros(1, WAVES, 2), "contrast": torch.tensor([1.0]), "place": torch.full((1, 2), 0.5),
        "source": torch.full((1, 2), 0.5), "choice": torch.tensor([0.9]), "lottery": torch.zeros(1, 1, cells, cells),
    }  # fmt: skip
    return Shapes(**(drawn | {name: torch.tensor(value) for name, value in changes.items()}))


def test_cut_paste_shows_what_lies_at_the_source():
    image = torch.rand(1, 1, SIZE, SIZE)
    painted = cut_paste(image, shapes(source=[[0.1, 0.9]]), Pattern.of(image))
    room = SIZE - 14
    dx, dy = round((0.1 - 0.5) * room), round((0.9 - 0.5) * room)
    rows, columns = slice(30, 35), slice(30, 35)  # well inside the blob around (32, 32)
    shifted = image[..., 30 + dy : 35 + dy, 30 + dx : 35 + dx]
    assert torch.equal(painted[..., rows, columns], shifted)
    assert torch.equal(painted[..., :20, :], image[..., :20, :])


def test_a_nick_lies_on_the_pattern_and_not_in_the_open():
    """Bars stand in the left third alone; blobs of 6 px must touch them although most of the picture is empty."""
    image = torch.full((200, 1, SIZE, SIZE), 0.1)
    image[..., 10:20] = 0.9
    image += 0.02 * torch.rand(image.shape, generator=generator())
    found = paint(image, generators=("nick",), null_share=0, min_size=6, max_size=6)
    columns = [change[0].nonzero()[:, 1].float().mean() for change in found.change if change.any()]
    assert (torch.stack(columns) < 27).float().mean() > 0.9


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("kind", ["spur", "bridge", "island"])
def test_on_one_tone_a_defect_lies_anywhere_and_stands_out(kind, level):
    found = paint(torch.full((300, 1, SIZE, SIZE), level), generators=(kind,), null_share=0)
    assert (found.change.amax((1, 2, 3)) >= 0.2).all()
    at = torch.stack([change[0].nonzero().float().mean(0) for change in found.change])
    assert at.amin() < 0.25 * SIZE
    assert at.amax() > 0.75 * SIZE
    assert at.mean(0).tolist() == pytest.approx([SIZE / 2, SIZE / 2], abs=4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_flat_picture_breaks_nothing(kind):
    found = paint(torch.full((8, 1, SIZE, SIZE), 0.5), generators=(kind,), null_share=0)
    assert torch.isfinite(found.images).all()


def masked(count=200):
    """Traces under a dark mask, and one bright pad."""
    images = torch.full((count, 3, SIZE, SIZE), 0.1)
    for at in range(4, SIZE - 4, 12):
        images[..., at : at + 5] = 0.3
    images[..., 40:56, 36:60] = 0.9
    return images


def in_the_traces_colours(found):
    """Share of pictures whose defect shows no colour but those of traces and mask."""
    most = found.change.amax((1, 2, 3))
    return ((most > 0.05) & (most <= 0.2)).float().mean()


@pytest.mark.parametrize("kind", ["break", "bridge", "nick", "spur"])
def test_a_window_finds_traces_under_the_mask_beside_a_bright_pad(kind):
    images = masked()
    whole, window = (paint(images, generators=(kind,), null_share=0, tones=tones) for tones in ("picture", "window"))
    assert in_the_traces_colours(whole) < 0.1
    assert in_the_traces_colours(window) > 0.3


def test_in_a_window_neighbours_decide_nothing():
    images = masked(8)
    strangers = boards(8, channels=3)
    strangers[3] = images[3]
    alike = [paint(batch, tones="window", null_share=0).images[3] for batch in (images, strangers)]
    assert torch.equal(*alike)


def test_a_window_of_one_clean_tone_takes_the_other_from_the_picture():
    image = torch.full((1, 1, SIZE, SIZE), 0.5)
    image[..., 40:] = 0.9
    left = torch.zeros(1, 1, SIZE, SIZE, dtype=torch.bool)
    left[..., :32] = True
    pattern = Pattern.of(image, left)
    assert (pattern.dark.item(), pattern.bright.item()) == pytest.approx((0.5, 0.9))
    assert not pattern.is_bright.any()


def test_a_picture_in_two_clean_colours_is_not_retouched():
    clean = paint(bars(), null_share=1 - 1e-6)
    assert not clean.retouched.any()
    grainy = paint(boards(200), null_share=1 - 1e-6)
    assert 0.3 < grainy.retouched.float().mean() < 0.7


def test_larger_defects_than_the_picture_are_made_to_fit():
    shapes = draw_shapes(DefectConfig(min_size=500, max_size=900), 4, SIZE, generator())
    assert (shapes.radius <= SIZE / 2).all()


def test_default_sizes_follow_the_picture():
    assert DefectConfig().sizes(128) == pytest.approx((6.4, 25.6))
    assert DefectConfig(min_size=3).sizes(64) == (3, pytest.approx(12.8))
    assert DefectConfig(max_size=4).sizes(128) == (4, 4)


def bars(count=60, width=6, gap=10):
    """Upright bright bars, all alike."""
    image = torch.full((count, 1, SIZE, SIZE), 0.1)
    for at in range(4, SIZE - width, width + gap):
        image[..., at : at + width] = 0.9
    return image


def pieces(image):
    """Connected bright parts of an image (1, S, S)."""
    return ndimage.label(image[0].numpy() > 0.5)[1]


def topology(kind, **keys):
    """Bright and dark parts of bars before, and of each of them painted with one kind at full contrast."""
    images = bars()
    found = paint(images, generators=(kind,), null_share=0, min_contrast=1.0, **keys)
    before = pieces(images[0]), pieces(1 - images[0])
    return before, [(pieces(image), pieces(1 - image)) for image in found.images]


@pytest.mark.parametrize(("kind", "part"), [("break", 0), ("bridge", 1)])
def test_a_break_parts_a_trace_and_a_bridge_a_gap(kind, part):
    before, after = topology(kind)
    assert sum(found[part] == before[part] + 1 for found in after) >= 0.7 * len(after)


@pytest.mark.parametrize(("kind", "part"), [("pin_hole", 1), ("island", 0)])
def test_a_hole_and_an_island_touch_nothing(kind, part):
    before, after = topology(kind)
    assert sum(found[part] == before[part] + 1 and found[1 - part] == before[1 - part] for found in after) > 0.9 * len(
        after
    )


@pytest.mark.parametrize("kind", ["nick", "spur"])
def test_a_small_nick_or_spur_parts_nothing_and_lies_on_a_border(kind):
    before, after = topology(kind, min_size=4, max_size=5)
    assert sum(found == before for found in after) > 0.9 * len(after)  # a ragged one may leave a crumb


def test_break_and_bridge_are_each_other_with_the_tones_exchanged():
    images = boards()
    cut = paint(images, generators=("break",), null_share=0)
    closed = paint(1 - images, generators=("bridge",), null_share=0)
    torch.testing.assert_close(cut.images, 1 - closed.images, atol=0.02, rtol=0)


def test_across_measures_a_bar():
    image = bars(1, width=9, gap=13)
    inward, width = across(Pattern.of(image), torch.tensor([[4.5, 30.5]]), 20.0)
    assert inward[0].tolist() == pytest.approx([1, 0], abs=0.01)
    assert width.item() == pytest.approx(8.5, abs=0.5)
    _, width = across(Pattern.of(image), torch.tensor([[4.5, 30.5]]), 5.0)
    assert torch.isinf(width).all()


def test_places_on_edges_are_border_pixels():
    image = boards(50)
    pattern = Pattern.of(image)
    at = on_an_edge(pattern, draw_shapes(DefectConfig(), 50, SIZE, generator())).floor().long()
    for mask, (x, y) in zip(pattern.is_bright[:, 0], at.tolist(), strict=True):
        around = mask[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        assert mask[y, x]
        assert not around.all()


def test_tones_are_those_of_the_areas_and_not_of_their_soft_borders():
    soft = F.avg_pool2d(F.pad(bars(1), [1] * 4, mode="replicate"), 3, 1)
    pattern = Pattern.of(soft)
    assert (pattern.dark.item(), pattern.bright.item()) == pytest.approx((0.1, 0.9))


def test_tones_are_parted_where_a_few_bright_pixels_would_fool_the_middle_grey():
    image = torch.full((1, 1, SIZE, SIZE), 0.1)
    image[..., :20] = 0.4
    image[0, 0, 5, 50] = 1.0  # a glint
    pattern = Pattern.of(image)
    assert torch.equal(pattern.is_bright, image > 0.2)


def test_a_tile_within_its_surroundings_gets_defects_as_long_as_without():
    config = DefectConfig()
    alone, within = draw_shapes(config, 500, SIZE, generator()), draw_shapes(config, 500, SIZE + 32, generator(), 16)
    assert torch.equal(alone.limit, within.limit)
    assert (alone.radius.min(), alone.radius.max()) == (within.radius.min(), within.radius.max())
    assert draw_shapes(config, 1, SIZE + 32, generator()).limit > within.limit[:1]
