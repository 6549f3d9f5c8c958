"""Publishes a large file in chunks: `mpama push` against the simulation of Hugging Face's own server of chunks.

    cargo install xet-client@1.8.0 --features simulation --bin local_cas_server
    cargo build --workspace --bins --examples
    .venv/bin/python tests/peer/xet.py

Needs hf_xet (it comes with huggingface_hub), which reads the file back as Python programs do. Everything happens
on this machine.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MPAMA = ROOT / "target/debug/mpama"
HUB = ROOT / "target/debug/examples/hub_server"
ADAPTER = ROOT / "mpama-cli/assets/demo-adapter"
SIZE = 300_000_000
PUSH = ["push", ADAPTER, "me/adapter", "--yes", "--picture"]


def main():
    work = Path(tempfile.mkdtemp())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    chunks = subprocess.Popen(["local_cas_server", "--port", str(port), "--data-directory", work / "chunks"])
    hub = subprocess.Popen([HUB, "--xet", f"127.0.0.1:{port}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        os.environ.update(HF_ENDPOINT=hub.stdout.readline().strip(), HF_HOME=str(work / "home"), HF_TOKEN="hf_me")
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        check(work, f"http://127.0.0.1:{port}")
    finally:
        chunks.kill()
        hub.kill()
        shutil.rmtree(work)


def check(work, server):
    import huggingface_hub
    import hf_xet

    # Half of it noise, half of it the same again: what is sent twice is stored once.
    picture = work / "large.png"
    noise = random.Random(0).randbytes(SIZE // 2)
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + noise + noise)

    started = time.monotonic()
    killed = subprocess.Popen([MPAMA, *map(str, PUSH), str(picture)], stderr=subprocess.DEVNULL)
    while stored(work) < SIZE / 20:
        assert killed.poll() is None and time.monotonic() - started < 120, "it ended before it could be killed"
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert commits() == 1, "the killed push made a commit"
    print(f"ok  killed with {stored(work) / 1e6:.1f} MB of chunks on the server: no commit")

    started, before = time.monotonic(), stored(work)
    assert not pushed(picture)["unchanged"]
    seconds, more = time.monotonic() - started, stored(work) - before
    assert commits() == 2 and more < 0.6 * SIZE, more
    print(f"ok  pushed {SIZE / 1e6:.0f} MB in {seconds:.1f} s, storing {more / 1e6:.1f} MB more: one commit")
    assert pushed(picture)["unchanged"] and commits() == 2
    print("ok  a second push changes nothing")

    # The Hub serves the bytes as any other file's, and hf_xet puts them together from the chunks.
    fetched = huggingface_hub.hf_hub_download("me/adapter", "pictures/1.png")
    assert digest(fetched) == digest(picture)
    print("ok  huggingface_hub", huggingface_hub.__version__, "downloads equal bytes")
    [known] = hf_xet.hash_files([str(picture)])
    back = work / "back.png"
    info = hf_xet.PyXetDownloadInfo(str(back), known.hash, picture.stat().st_size)
    hf_xet.download_files([info], server, ("xet", 2**32 - 1), None, None)
    assert digest(back) == digest(picture)
    print("ok  hf_xet puts equal bytes together from the chunks")


def stored(work):
    return sum(path.stat().st_size for path in (work / "chunks").rglob("*") if path.is_file())


def commits():
    import huggingface_hub

    return len(huggingface_hub.HfApi().list_repo_commits("me/adapter"))


def pushed(picture):
    done = subprocess.run([MPAMA, *map(str, PUSH), str(picture), "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
