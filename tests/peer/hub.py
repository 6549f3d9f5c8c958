"""What the official Python client uploads we pull, and what we push it downloads, through one cache.

    cargo build --workspace --bins --examples
    pip install -r tests/peer/requirements.txt
    python tests/peer/hub.py

Everything happens on this machine: tests/src/hub_server speaks the Hub's HTTP on a local port.
"""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MPAMA = ROOT / "target/debug/mpama"
SERVER = ROOT / "target/debug/examples/hub_server"
DEMO = ROOT / "mpama-cli/assets"


def main():
    server = subprocess.Popen([SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    work = Path(tempfile.mkdtemp())
    try:
        environment = {
            "HF_ENDPOINT": server.stdout.readline().strip(),
            "HF_HOME": str(work / "home"),
            "HF_TOKEN": "hf_me",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        os.environ.update(environment)
        check(work)
    finally:
        server.kill()
        shutil.rmtree(work)


def check(work):
    import huggingface_hub as hub

    api = hub.HfApi()
    print("huggingface_hub", hub.__version__, "is", api.whoami()["name"])

    # The server itself, with the official client at both ends.
    sent = work / "sent"
    shutil.copytree(DEMO / "demo-clip", sent)
    (sent / "large.bin").write_bytes(random.Random(0).randbytes(20_000_000))
    api.create_repo("me/clip", private=True)
    api.upload_folder(repo_id="me/clip", folder_path=sent)
    back = hub.snapshot_download("me/clip", cache_dir=work / "python")
    same(sent, back, "python -> server -> python")

    # What Python uploaded, we pull; and the cache is Python's own.
    pulled = Path(mpama("pull", "me/clip").splitlines()[0])
    for name in ["config.json", "model.safetensors", "tokenizer.json"]:
        equal(sent / name, pulled / name)
    print("ok  python -> server -> mpama pull")
    offline = dict(os.environ, HF_HUB_OFFLINE="1")
    script = "import huggingface_hub as h; print(h.hf_hub_download('me/clip', 'model.safetensors'))"
    found = subprocess.run([sys.executable, "-c", script], env=offline, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).resolve() == (pulled / "model.safetensors").resolve()
    scan = hub.scan_cache_dir()
    assert not scan.warnings and [repo.repo_id for repo in scan.repos] == ["me/clip"], scan
    print("ok  python finds what we pulled, offline, and its scan has no complaint")

    # The reverse: what Python fetched is used as it is.
    shutil.rmtree(work / "home")
    hub.snapshot_download("me/clip")
    log = json.loads(mpama("pull", "me/clip", "--json"))
    assert not any(file["fetched"] for file in log["files"]), log
    print("ok  we fetch nothing that Python has fetched")

    # What we push, Python downloads.
    mpama("datasets", "synth", "--out", work / "drawn", "--size", 64, "--good", 2, "--defective", 4, "--categories", "bolt,leather")
    report = work / "report"
    mpama("eval", "--data", work / "drawn", "--report", report)
    push = ["push", DEMO / "demo-adapter", "me/adapter", "--yes", "--license", "apache-2.0", "--report", report / "report.json"]
    url = mpama(*push).strip()
    fetched = Path(hub.snapshot_download("me/adapter", cache_dir=work / "python"))
    for name in ["adapter_config.json", "adapter_model.safetensors"]:
        equal(DEMO / "demo-adapter" / name, fetched / name)
    equal(DEMO / "export/detect.py", fetched / "detect.py")
    pictures = [picture["file"] for picture in json.loads((report / "report.json").read_text())["pictures"]]
    assert len(pictures) == 6, pictures
    for picture in pictures:
        equal(report / picture, fetched / picture)
    assert json.loads(mpama(*push, "--json"))["unchanged"]
    print("ok  mpama push -> server -> python, and a second push changes nothing:", url)

    # The card, as the Hub's own library reads it. (`ModelCard.validate` asks huggingface.co itself.)
    card = hub.ModelCard.load(fetched / "README.md", ignore_metadata_errors=False)
    assert card.data.base_model_relation == "adapter" and card.data.license == "apache-2.0"
    results = card.data.eval_results
    assert {(r.dataset_name, r.metric_type) for r in results} >= {("drawn", "auroc"), ("drawn", "aupro")}, results
    assert all(f"]({picture})" in card.text for picture in pictures), card.text
    again = hub.ModelCard(f"---\n{card.data.to_yaml()}\n---\n{card.text}")
    assert again.data.to_dict() == card.data.to_dict()
    print("ok  the card's metadata reads, and survives a round trip through YAML:\n")
    print(card.data.to_yaml())


def mpama(*arguments):
    done = subprocess.run([MPAMA, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"mpama {arguments}: {done.stderr}")
    return done.stdout


def equal(a, b):
    digest = [hashlib.sha256(Path(p).read_bytes()).hexdigest() for p in (a, b)]
    assert digest[0] == digest[1], (a, b)


def same(a, b, what):
    names = sorted(p.name for p in Path(a).iterdir())
    for name in names:
        equal(Path(a) / name, Path(b) / name)
    print("ok ", what, names)


if __name__ == "__main__":
    main()
