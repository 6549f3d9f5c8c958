"""Compares `detect.py` of `mpama export ADAPTER --out EXPORT` with `mpama predict`.

    mpama predict IMAGES --clip CLIP --adapter ADAPTER --json > ours.jsonl
    .venv/bin/python tests/peer/export.py EXPORT CLIP ours.jsonl

The versions are those of tests/fixtures/requirements.txt. JPEG decoders round differently, which a score may
feel by some 1e-4: the bound is for PNG.
"""

import json
import pathlib
import sys

from PIL import Image
from transformers import CLIPModel

TOLERANCE = 1e-5


def main(export, clip, ours):
    sys.path.insert(0, export)
    from detect import detect

    model, worst, compared = CLIPModel.from_pretrained(clip).float().eval(), 0.0, 0
    for line in map(json.loads, pathlib.Path(ours).read_text().splitlines()):
        if line["type"] != "prediction":
            continue
        score, heatmap = detect(model, Image.open(line["path"]))
        difference = max(abs(score - line["score"]), abs(heatmap.max().item() - line["local"]))
        assert difference < (TOLERANCE if line["path"].endswith(".png") else 1e-3), f"{line} {score} {heatmap.max()}"
        worst, compared = max(worst, difference), compared + 1
    assert compared > 0, "nothing to compare"
    print(f"{compared} scores and maxima of maps are equal within {worst:.1e}")


if __name__ == "__main__":
    main(*sys.argv[1:])
