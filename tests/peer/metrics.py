"""Times the metrics as the field computes them beside ours, on the same maps.

The area under per-region overlap is a loop over 200 thresholds that asks scikit-image for the regions of
every mask at every threshold; areas under ROC and precision-recall curves are scikit-learn's over all
pixels. Run it from the repository's root:

    python -m venv .venv && .venv/bin/pip install -r tests/peer/requirements.txt
    .venv/bin/python tests/peer/metrics.py --share 8

`--share N` takes one image of N of MVTec AD's numbers; the bench binary draws them and measures ours.
"""

import argparse
import pathlib
import re
import subprocess
import tempfile
import time

import numpy as np
from skimage.measure import label, regionprops
from sklearn.metrics import auc, average_precision_score, roc_auc_score

TOLERANCE = 1e-6  # per cent have four digits after the point in the bench's table


def stepped_overlap(masks, maps, steps=200, limit=0.3):
    """Thresholds at equal steps of the range, recall of each region at each, mean over all regions."""
    lowest, highest = maps.min(), maps.max()
    overlaps, rates = [], []
    for threshold in np.arange(lowest, highest, (highest - lowest) / steps):
        found = maps > threshold
        recalls = []
        for mask, hits in zip(masks, found):
            for region in regionprops(label(mask)):
                rows, columns = region.coords[:, 0], region.coords[:, 1]
                recalls.append(hits[rows, columns].sum() / region.area)
        overlaps.append(np.mean(recalls))
        rates.append(np.logical_and(masks == 0, found).sum() / (masks == 0).sum())
    overlaps, rates = np.array(overlaps), np.array(rates)
    kept = rates < limit
    rates = rates[kept]
    rates = (rates - rates.min()) / (rates.max() - rates.min())
    return auc(rates, overlaps[kept])


def read(folder, size):
    files = sorted(folder.glob("*.map"))
    maps = np.stack([np.fromfile(file, "<f4").reshape(size, size) for file in files])
    masks = np.stack([np.fromfile(file.with_suffix(".mask"), "u1").reshape(size, size) for file in files])
    return maps, masks


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--share", type=int, default=8)
    options.add_argument("--size", type=int, default=518)
    options.add_argument("--bench", help="the bench binary, if it is built already")
    options = options.parse_args()
    command = [options.bench] if options.bench else ["cargo", "bench", "-p", "mpama-train", "--bench", "metrics", "--"]
    with tempfile.TemporaryDirectory() as folder:
        words = ["--share", str(options.share), "--size", str(options.size), "--save", folder]
        table = subprocess.run(command + words, check=True, capture_output=True, text=True).stdout
        ours = dict(re.findall(r"^(\w+) +\d+ +([\d.]+ .*?) +\d+ MB$", table, re.M))
        ours = {name: [float(cell) for cell in cells.split()] for name, cells in ours.items()}

        print(f"{'category':<12} {'images':>6} {'overlap loop':>13} {'ranking':>8} {'ours, all':>10} {'ratio':>6}")
        loop, rank, own, images = 0, 0, 0, 0
        for name, (seconds, image_auroc, pixel_auroc, _, overlap) in ours.items():
            maps, masks = read(pathlib.Path(folder) / name, options.size)
            started = time.perf_counter()
            theirs = {"AUPRO-200": (stepped_overlap(masks, maps), overlap)}
            looped = time.perf_counter() - started
            started = time.perf_counter()
            theirs["pixel AUROC"] = roc_auc_score(masks.ravel(), maps.ravel()), pixel_auroc
            average_precision_score(masks.ravel(), maps.ravel())
            ranked = time.perf_counter() - started
            theirs["image AUROC"] = roc_auc_score(masks.any((1, 2)), maps.max((1, 2))), image_auroc
            for metric, (value, our) in theirs.items():
                assert abs(100 * value - our) < 100 * TOLERANCE, f"{name}: {metric} {100 * value} and {our}"
            print(
                f"{name:<12} {len(maps):>6} {looped:>11.1f} s {ranked:>6.1f} s {seconds:>8.3f} s"
                f" {looped / seconds:>5.0f}x",
                flush=True,
            )
            loop, rank, own, images = loop + looped, rank + ranked, own + seconds, images + len(maps)
        print(
            f"\n{images} images of {options.size}x{options.size}, values equal: the loop alone {loop:.1f} s,"
            f" scikit-learn's pixel AUROC and AP {rank:.1f} s, all of ours {own:.2f} s."
            f" The loop takes {loop / own:.0f} times as long as ours, with ranking {(loop + rank) / own:.0f} times."
        )


if __name__ == "__main__":
    main()
