"""Runs the Python example of a model card as it stands there, and compares its score with `mpama predict`.

    cargo build --workspace --bins --examples
    .venv/bin/python tests/peer/card.py

The versions are those of tests/fixtures/requirements.txt. Everything happens on this machine: an adapter is
trained on drawings for a CLIP that tests/src/hub_server has, pushed there, and fetched by the card's own lines.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MPAMA = ROOT / "target/debug/mpama"
SERVER = ROOT / "target/debug/examples/hub_server"
CLIP = ROOT / "mpama-cli/assets/demo-clip"
TOLERANCE = 1e-5
SMALL = ["model.image-size=96", "stage-one.epochs=1", "stage-two.epochs=1", "stage-two.learning-rate=1e-3"]


def main():
    work = Path(tempfile.mkdtemp())
    server = subprocess.Popen(
        [SERVER, "--model", f"lab/clip={CLIP}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        os.environ.update(HF_ENDPOINT=server.stdout.readline().strip(), HF_HOME=str(work / "home"), HF_TOKEN="hf_me")
        os.environ.update(HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_PROGRESS_BARS="1")
        check(work)
    finally:
        server.kill()
        shutil.rmtree(work)


def check(work):
    drawn, other, run = work / "drawn", work / "other", work / "run"
    mpama("datasets", "synth", "--out", drawn, "--size", 96, "--good", 4, "--defective", 4, "--categories", "bolt")
    mpama("datasets", "synth", "--out", other, "--size", 96, "--good", 2, "--defective", 3, "--categories", "leather")
    sets = [word for setting in SMALL for word in ("--set", setting)]
    mpama("train", "--data", drawn, "--clip", "lab/clip", "--out", run, *sets)
    mpama("push", run, "me/adapter", "--yes")

    card = (Path(fetch("me/adapter")) / "README.md").read_text()
    [example] = re.findall(r"^```python\n(.*?)^```$", card, re.M | re.S)
    assert 'CLIPModel.from_pretrained("lab/clip", revision=' in example, example
    worst = 0.0
    images = sorted(other.rglob("test/*/*.png"))
    for image in images:
        shutil.copy(image, work / "photo.png")
        done = subprocess.run([sys.executable, "-c", example], cwd=work, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{example}\n{done.stderr}")
        theirs = float(done.stdout.split()[0])
        ours = json.loads(mpama("predict", image, "--adapter", "me/adapter", "--json").splitlines()[0])["score"]
        worst = max(worst, abs(ours - theirs))
    assert images and worst < TOLERANCE, worst
    print(f"{len(images)} scores of the card's example are ours within {worst:.1e}:\n\n{example}")


def fetch(name):
    import huggingface_hub

    return huggingface_hub.snapshot_download(name)


def mpama(*arguments):
    done = subprocess.run([MPAMA, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"mpama {arguments}: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
