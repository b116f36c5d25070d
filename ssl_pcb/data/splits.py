"""Splits by board: train, val and test share none; some images of the training boards are kept apart too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from ssl_pcb.data.manifest import LABELS, PSEUDO_GROUP, SPLITS, Manifest
from ssl_pcb.errors import UserError

MAIN_SPLITS = ("train", "val", "test")


def split_manifest(
    manifest: Manifest,
    *,
    ratios: Sequence[float] = (0.6, 0.2, 0.2),
    assign: dict[str, list[str]] | None = None,
    holdout: float = 0.1,
    seed: int = 0,
) -> Manifest:
    """Give every row a split, anew.

    Args:
        manifest: Rows with groups.
        ratios: Shares of train, val and test, to be met in samples of each label and in number alike.
        assign: Groups of each split by name, instead of ``ratios``; groups not named stay without a split.
        holdout: Share (0 to below 1) of the training boards' images that becomes ``holdout``. All tiles of an
            image, and images of one ``place``, stay together; so do whole stand-in groups.
        seed: Decides among equally good splits and which images are held out.

    Raises:
        UserError: If rows have no group, one image has two, groups are too few, or ``assign`` names one that is
            unknown or twice.
    """
    frame = manifest.frame.copy()
    if not 0 <= holdout < 1:
        raise UserError(f"holdout {holdout:g} must be at least 0 and less than 1")
    if frame["group"].eq("").any():
        row = frame["group"].tolist().index("") + 1
        raise UserError(f"row {row} has no group; import with --group-from, so that splits can be by board")
    _refuse_shared_images(frame)
    rng = np.random.default_rng(seed)
    chosen = _assigned(frame, assign) if assign else _balanced(frame, _checked(ratios), rng)
    frame["split"] = frame["group"].map(chosen).fillna("")
    train = frame["split"].eq("train")
    units = units_together(frame[train])
    held = _hold_out(units, frame[train], holdout, rng)
    frame.loc[units.index[units.isin(held)], "split"] = "holdout"
    return Manifest.build(frame, manifest.root)


def _refuse_shared_images(frame: pd.DataFrame) -> None:
    pairs = frame[["path", "group"]].drop_duplicates()
    several = pairs["path"][pairs["path"].duplicated()]
    if len(several):
        groups = pairs["group"][pairs["path"] == several.iloc[0]]
        raise UserError(
            f"image '{several.iloc[0]}' has rows of groups {', '.join(groups)}; one image must stay in one split, "
            "so give all its rows the same group"
        )


def _checked(ratios: Sequence[float]) -> npt.NDArray[np.float64]:
    shares = np.asarray(ratios, float)
    if len(shares) != 3 or not np.isfinite(shares).all() or shares.min() < 0 or shares[0] <= 0:
        raise UserError(f"ratios {', '.join(map(str, ratios))}: must be three shares, that of train over 0")
    normalised: npt.NDArray[np.float64] = shares / shares.sum()
    return normalised


def _assigned(frame: pd.DataFrame, assign: dict[str, list[str]]) -> dict[str, str]:
    known = set(frame["group"])
    chosen: dict[str, str] = {}
    for split, groups in assign.items():
        if split not in MAIN_SPLITS:
            raise UserError(f"split '{split}' is not one of {', '.join(MAIN_SPLITS)}")
        for group in groups:
            if group not in known:
                some = ", ".join(sorted(known)[:8])
                raise UserError(f"group '{group}' is not in the manifest (its {len(known)} groups: {some}, ...)")
            if group in chosen:
                raise UserError(f"group '{group}' is assigned twice ({chosen[group]} and {split})")
            chosen[group] = split
    return chosen


def _balanced(frame: pd.DataFrame, shares: npt.NDArray[np.float64], rng: np.random.Generator) -> dict[str, str]:
    """Greedy assignment of groups, largest first, from several random orders; the best fit wins."""
    counts = pd.crosstab(frame["group"], frame["label"])
    wanted = int((shares > 0).sum())
    if len(counts) < wanted:
        raise UserError(
            f"{len(counts)} group(s) cannot make {wanted} splits; name the boards with --group-from when "
            "importing, or set shares of val or test to 0 with --ratios"
        )
    # Number of samples and each label count alike, as shares of their totals.
    sizes = np.column_stack([counts.to_numpy(float), counts.sum(axis=1).to_numpy(float)])
    sizes /= sizes.sum(axis=0)
    tries = max(1, min(100, 20_000 // len(sizes)))
    results = [_greedy(sizes, shares, rng) for _ in range(tries)]
    best = min(results, key=lambda sides: _misfit(sizes, sides, shares))
    return {str(group): MAIN_SPLITS[side] for group, side in zip(counts.index, best, strict=True)}


def _greedy(
    sizes: npt.NDArray[np.float64], shares: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    # Noise on the sizes makes each try another order that still puts large groups first.
    order = np.argsort(-sizes[:, -1] * rng.uniform(0.5, 1.5, len(sizes)), kind="stable")
    targets = np.where(shares > 0, shares, np.inf)[:, None]
    filled = np.zeros((3, sizes.shape[1]))
    sides = np.empty(len(sizes), np.intp)
    for done, group in enumerate(order):
        # The squared misfit that adding this group to each split takes away or adds, relative to its size.
        gain = (((filled + sizes[group]) / targets - 1) ** 2 - (filled / targets - 1) ** 2) * shares[:, None]
        cost = np.where(shares > 0, gain.sum(axis=1), np.inf)
        empty = (filled[:, -1] == 0) & (shares > 0)
        if empty.sum() >= len(order) - done:  # the rest is needed to fill empty splits
            cost = np.where(empty, cost, np.inf)
        sides[group] = int(cost.argmin())
        filled[sides[group]] += sizes[group]
    return sides


def _misfit(sizes: npt.NDArray[np.float64], sides: npt.NDArray[np.intp], shares: npt.NDArray[np.float64]) -> float:
    filled = np.stack([sizes[sides == side].sum(axis=0) for side in range(3) if shares[side] > 0])
    return float(((filled / shares[shares > 0, None] - 1) ** 2 * shares[shares > 0, None]).sum())


def units_together(rows: pd.DataFrame) -> pd.Series[str]:
    """What must stay together: a stand-in group, else a place (tested image and template), else an image."""
    units = "image " + rows["path"]
    if "place" in rows.columns:
        units = units.mask(rows["place"].ne(""), "place " + rows["group"] + " " + rows["place"])
    return units.mask(rows["group"].str.startswith(PSEUDO_GROUP), rows["group"])


def _hold_out(units: pd.Series[str], train: pd.DataFrame, holdout: float, rng: np.random.Generator) -> set[str]:
    """A random share of the units of each label, spread over the boards.

    Every k-th unit in an order by label first (systematic sampling with a random start) takes the same share,
    to within one unit, of each. The order by board comes second: were it first, a k that fits the size of the
    boards would always meet the same label.
    """
    labels = train["label"].map({"": 0, LABELS[0]: 1, LABELS[1]: 2})  # a unit is what its worst sample is
    table = pd.DataFrame({"group": train["group"], "label": labels}).groupby(units).agg(
        {"group": "first", "label": "max"}
    )  # fmt: skip
    wanted = round(holdout * len(table))
    if holdout and wanted == 0 and len(table) > 1:
        wanted = 1
    if not wanted:
        return set()
    order = np.lexsort((rng.random(len(table)), table["group"], table["label"]))
    step = len(table) / wanted
    picks = np.floor((np.arange(wanted) + rng.random()) * step).astype(int)
    return set(table.index[order[picks]])


def describe_splits(manifest: Manifest) -> str:
    """A table of images, samples, labels and boards of each split."""
    lines = [f"{'split':<12}{'images':>9}{'samples':>9}{'positive':>10}{'unlabelled':>12}{'boards':>8}"]
    for name in (*SPLITS, ""):
        rows = manifest.frame[manifest.frame["split"] == name]
        if len(rows):
            lines.append(
                f"{name or 'none':<12}{rows['path'].nunique():>9,}{len(rows):>9,}"
                f"{rows['label'].eq(LABELS[1]).sum():>10,}{rows['label'].eq('').sum():>12,}"
                f"{rows['group'].nunique():>8,}"
            )
    if not manifest.board_disjoint:
        lines.append("not board-disjoint: groups are stand-ins (or missing), so one board may be on both sides")
    return "\n".join(lines)
