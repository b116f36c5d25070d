"""Judge whole images by overlapping windows: every place counts, and none is dropped as blank or partial."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ssl_pcb.data.manifest import LABELS, UNTILED, Manifest, format_boxes, parse_boxes
from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.data.store import open_store
from ssl_pcb.decision.bounds import upper_bound
from ssl_pcb.decision.verdicts import ThreeWay
from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.panels import count_panel
from ssl_pcb.evaluation.rates import cluster_bound
from ssl_pcb.imaging.orientation import Box
from ssl_pcb.imaging.tiling import windows as windows_of
from ssl_pcb.reports.saved import Saved
from ssl_pcb.stages.finetune import predict
from ssl_pcb.stages.finetuned import Classifier, load_classifier
from ssl_pcb.stages.scoring import record_look, refuse_changed, rows_apart

log = logging.getLogger(__name__)


def open_tile_judge(saved: Saved, device: str) -> tuple[Classifier, int]:
    """The classifier of a finetuning on tiles, and the side of these in pixels.

    Raises:
        UserError: If it cannot judge whole images by windows.
    """
    if saved.stage != "finetune":
        raise UserError(f"{saved.run}: --panels needs the network of a finetuning, and this is a {saved.stage} run")
    judge = load_classifier(saved.run, device)
    if judge.config.data.references:
        raise UserError(f"{saved.run}: its network sees golden images too, which --panels does not cut; leave it out")
    own = judge.config.data.manifest
    if own is None or (side := tile_side(Manifest.read(own).frame["crop"])) is None:
        raise UserError(f"{saved.run}: was trained on whole images, not on tiles; leave out --panels")
    return judge, side


def judge_panels(
    saved: Saved, judge: Classifier, side: int, data: Path | None, split: str, verdicts: ThreeWay,
    look: tuple[Path, str],
) -> pd.DataFrame:  # fmt: skip
    """Count misses and false alarms of each source image.

    Args:
        saved: A finetuning on tiles.
        judge: Its classifier, see :func:`open_tile_judge`.
        side: Of the windows, in pixels.
        data: Manifest of the images, those of its split ``test``, or if it has none, of no split; ``None`` = the run's
            own.
        split: Whose images of the run's own.
        verdicts: The thresholds.
        look: The project's ledger of looks at test images, and what this one is for.

    Returns:
        A row an image: ``path``, ``group``, ``good``, ``untiled`` (boxes in no tile of the manifest; ``None`` where it
        does not know), ``windows``, ``boxes``, ``missed``, ``alarms``. An image without a box is good if it is labelled
        NonDefective throughout; else a defect is somewhere, or may be, and ``good`` is ``None``.

    Raises:
        UserError: If there are no such images, or it was trained on them.
    """
    named = {"manifest": data} if data else {}
    found, _ = load_samples(judge.config.data.model_copy(update=named))
    rows, is_test = found.rows(split), False
    if data is None:
        refuse_changed(saved, found, "leave out --panels, or name images with --data")
    else:
        rows, is_test = rows_apart(saved, judge, found, labelled=False)
    manifest = found.manifest.select(np.isin(np.arange(len(found.manifest)), rows))
    if is_test and found.unit != saved.unit:  # a look at tiles of the same images is recorded already
        record_look(saved, manifest.frame["group"].tolist(), found.describe(), *look, auroc="")
    images = _images(manifest)
    sizes = dict(zip(found.column("path", rows), found.store.sizes[rows].tolist(), strict=True))
    windows = Manifest.build(list(_windows(images, sizes, side)), manifest.root, "windows")
    store, _ = open_store(windows, judge.config.data)
    samples = Samples(found.name, windows, store)
    log.info("scoring %d windows of %d whole images", len(windows), len(images))
    scores = predict(judge.model, samples, samples.store.rows, judge.fabric)
    scored = windows.frame.iloc[samples.store.rows].assign(score=scores)
    parts = {str(path): found for path, found in scored.groupby("path", sort=False)}
    return pd.DataFrame([_counted(images[path], path, found, verdicts) for path, found in parts.items()])


def panel_figures(counts: pd.DataFrame) -> dict[str, Any]:
    """Rates of :func:`judge_panels`' counts: missed boxes a box, false alarms an image, of good images apart."""
    good, known = counts[counts["good"].eq(True)], counts[counts["good"].notna()]
    boxes, missed = int(counts["boxes"].sum()), int(counts["missed"].sum())
    untiled = None if counts["untiled"].isna().any() else int(counts["untiled"].sum())
    stopped = int(good["alarms"].gt(0).sum())
    return {
        "images": len(counts), "boxes": boxes, "untiled": untiled, "missed": missed,
        "missed_per_box": missed / boxes if boxes else None, "missed_bound": upper_bound(missed, boxes),
        "missed_bound_over_images": cluster_bound(counts["missed"], counts["boxes"]),
        "unplaced_images": len(counts) - len(known),
        "alarms_per_image": float(known["alarms"].mean()) if len(known) else None, "good_images": len(good),
        "alarms_per_good_image": float(good["alarms"].mean()) if len(good) else None,
        "good_images_stopped": stopped, "stopped_bound": upper_bound(stopped, len(good)),
    }  # fmt: skip


def panel_lines(figures: dict[str, Any]) -> Iterator[str]:
    """The same in words."""
    if figures["boxes"]:
        yield (
            f"whole images: {figures['missed']:,} of {figures['boxes']:,} defect boxes are missed "
            f"({figures['missed_per_box']:.2%}; 95 % bound {figures['missed_bound']:.2%} (Clopper-Pearson)"
            + (f", {over:.2%} over resampled images" if (over := figures["missed_bound_over_images"]) else "")
            + ")"
            + (f"; {figures['untiled']:,} of the boxes lie in no tile of the manifest" if figures["untiled"] else "")
        )
    if figures["untiled"] is None:
        yield (
            "whole images: boxes whose tiles were all dropped are not in this manifest, so they are not counted, and "
            "an image that has no others counts as good; import it anew, which keeps them"
        )
    if unplaced := figures["unplaced_images"]:
        yield (
            f"whole images: {unplaced:,} of the {figures['images']:,} have no box and are not labelled NonDefective, "
            "so what is missed or falsely called there is unknown; they are left out of the rates"
        )
    if figures["alarms_per_image"] is not None:
        yield (
            f"whole images: {figures['alarms_per_image']:.2f} false alarms an image (windows that overlap count as "
            f"one), over {figures['images'] - unplaced:,} images"
        )
    if figures["good_images"]:
        yield (
            f"whole good images: {figures['alarms_per_good_image']:.2f} false alarms an image; "
            f"{figures['good_images_stopped']:,} of {figures['good_images']:,} are stopped (95 % bound "
            f"{figures['stopped_bound']:.1%})"
        )
    else:
        yield (
            "no image here is known to be free of defects, so how many good ones are stopped is unknown: evaluate with "
            "--data panels of which some are good, real ones or those of 'ssl-pcb data synth'"
        )


def tile_side(crops: Iterable[str]) -> int | None:
    """The usual side of tiles with these crops, as a manifest has them; ``None`` if they are whole images."""
    sides = [max(box[2] - box[0], box[3] - box[1]) for text in crops for box in parse_boxes(text)]
    return round(float(np.median(sides))) if sides else None


def _images(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """Board and all known boxes of each source image, and how many of these lie in no tile, if that is known."""
    frame = manifest.frame
    if not len(frame):
        raise UserError("--panels: there are no images to judge")
    if UNTILED not in frame:  # whole images have all of their boxes
        frame = frame.assign(**{UNTILED: "" if frame["crop"].eq("").all() else None})
    found = {}
    for path, rows in frame.groupby("path", sort=False):
        known = rows[UNTILED].notna().all()
        boxes, untiled = (_boxes(rows[column].dropna()) for column in ("boxes", UNTILED))
        found[str(path)] = {
            "group": rows["group"].iloc[0], "boxes": boxes | untiled, "untiled": len(untiled) if known else None,
            "good": False if boxes | untiled else bool(rows["label"].eq(LABELS[0]).all()) or None,
        }  # fmt: skip
    return found


def _boxes(cells: Iterable[str]) -> dict[Box, None]:
    """Each box once, in the order of the manifest."""
    return dict.fromkeys(box for text in cells for box in parse_boxes(text))


def _windows(
    images: dict[str, dict[str, Any]], sizes: Mapping[str, tuple[int, int]], side: int
) -> Iterator[dict[str, Any]]:
    for path, image in images.items():
        for crop in windows_of(*sizes[path], side):
            yield {"path": path, "group": image["group"], "crop": format_boxes([crop])}


def _counted(image: dict[str, Any], path: str, windows: pd.DataFrame, verdicts: ThreeWay) -> dict[str, Any]:
    places = [parse_boxes(text)[0] for text in windows["crop"]]
    count = count_panel(places, windows["score"].to_numpy(), list(image["boxes"]), verdicts)
    about = {"path": path, **{key: image[key] for key in ("group", "good", "untiled")}, "windows": len(windows)}
    return about | asdict(count)
