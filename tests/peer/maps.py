"""Recomputes the figures of `mpama eval --save-maps DIR --save REPORT` with scikit-learn and compares.

    .venv/bin/python tests/peer/maps.py DIR REPORT
"""

import collections
import json
import pathlib
import sys

import numpy as np
from skimage.measure import label
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score

TOLERANCE = 1e-9


def best_f1(labels, scores):
    precision, recall, _ = precision_recall_curve(labels, scores)
    with np.errstate(invalid="ignore"):
        return np.nanmax(2 * precision * recall / (precision + recall))


def overlap(masks, maps, limit=0.3):
    """Area under mean recall of the regions over false positive rate, every distinct score a threshold."""
    weights, regions = [], 0
    for mask in masks:
        labels = label(mask)
        areas = np.bincount(labels.ravel())
        share = 1 / areas.clip(1)
        share[0] = 0
        weights.append(share[labels].ravel())
        regions += len(areas) - 1
    if regions == 0:
        return None
    normal = np.concatenate([(mask == 0).ravel() for mask in masks])
    if not normal.any():
        return None
    scores = np.concatenate([map.ravel() for map in maps])
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # of each group of equal scores
    rates = np.append(0, (np.cumsum(normal[order]) / normal.sum())[last])
    overlaps = np.append(0, (np.cumsum(np.concatenate(weights)[order]) / regions)[last])
    inside = rates <= limit
    edge = np.interp(limit, rates, overlaps)
    return auc(np.append(rates[inside], limit), np.append(overlaps[inside], edge)) / limit


def category(folder, lines):
    labels = np.array([line["label"] == "anomalous" for line in lines])
    scores = np.array([line["score"] for line in lines], np.float32)
    both = labels.any() and not labels.all()
    found = {
        "image_auroc": roc_auc_score(labels, scores) if both else None,
        "image_ap": average_precision_score(labels, scores) if both else None,
        "image_f1_max": best_f1(labels, scores) if both else None,
    }
    pixels = dict.fromkeys(["pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro"])
    if all(line["mask"] for line in lines):
        maps = [np.load(folder / line["map"]) for line in lines]
        masks = [np.load(folder / line["mask"]) for line in lines]
        flat = np.concatenate([mask.ravel() for mask in masks])
        values = np.concatenate([map.ravel() for map in maps])
        if flat.min() != flat.max():
            pixels["pixel_auroc"] = roc_auc_score(flat, values)
            pixels["pixel_ap"] = average_precision_score(flat, values)
            pixels["pixel_f1_max"] = best_f1(flat, values)
        pixels["aupro"] = overlap(masks, maps)
    return found | pixels


def main(folder, report):
    folder = pathlib.Path(folder)
    by_category = collections.defaultdict(list)
    for line in (folder / "index.jsonl").read_text().splitlines():
        line = json.loads(line)
        by_category[line["dataset"], line["category"]].append(line)
    worst, compared = 0.0, 0
    for dataset in json.loads(pathlib.Path(report).read_text())["datasets"]:
        for ours in dataset["categories"]:
            theirs = category(folder, by_category[dataset["dataset"], ours["category"]])
            for metric, value in theirs.items():
                our = ours["scores"][metric]
                assert (our is None) == (value is None), f"{ours['category']}: {metric} {our} {value}"
                if value is not None:
                    worst, compared = max(worst, abs(our - value)), compared + 1
                    assert abs(our - value) < TOLERANCE, f"{ours['category']}: {metric} {our} {value}"
    assert compared > 0, "nothing to compare"
    print(f"{compared} figures of {len(by_category)} categories are equal, the worst within {worst:.1e}")


if __name__ == "__main__":
    main(*sys.argv[1:])
