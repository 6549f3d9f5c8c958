"""Times the image tower in PyTorch beside ours: ViT-L/14@336 at 518 pixels with a V-V stream, one image.

Two ways in f32: `eager` forms every matrix of scores, as AnomalyCLIP's code does; `sdpa` is as well as one
writes it in PyTorch, with `scaled_dot_product_attention`. Both compute all rows of the last block. Ours is the
time that `mpama predict --json` gives for the model, the maps included. Rounds are interleaved, and the best
and the median of each are printed. Run it from the repository's root:

    python -m venv .venv && .venv/bin/pip install -r tests/fixtures/requirements.txt
    .venv/bin/python tests/fixtures/large_clip.py runs/large
    .venv/bin/python tests/peer/tower.py --clip runs/large --adapter ADAPTER --images PHOTO…

ADAPTER is one that was trained on that backbone or imported for it (`mpama import anomalyclip`).
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

SIDE, PATCH, HEADS, DUAL = 518, 14, 16, 19


def heads(x):
    return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)


def eager(q, k, v):
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return scores.softmax(-1) @ v


def attend(attention, q, k, v):
    return attention(heads(q), heads(k), heads(v)).transpose(1, 2).flatten(2)


@torch.inference_mode()
def tower(w, pixels, attention):
    """Class token and projected patch tokens of both streams, as AnomalyCLIP computes them."""

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], 1e-5)

    def linear(x, name):
        return F.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))

    grid = SIDE // PATCH
    x = F.conv2d(pixels, w["embeddings.patch_embedding.weight"], stride=PATCH).flatten(2).transpose(1, 2)
    positions = w["embeddings.position_embedding.weight"]
    side = int((len(positions) - 1) ** 0.5)
    table = positions[1:].T.reshape(1, -1, side, side)
    table = F.interpolate(table, (grid, grid), mode="bilinear", align_corners=False).flatten(2).transpose(1, 2)
    x = torch.cat([(w["embeddings.class_embedding"] + positions[0])[None, None], x + table], 1)
    x, second = norm(x, "pre_layrnorm"), None
    layers = sum(name.endswith("mlp.fc1.bias") for name in w)
    for i in range(layers):
        block = f"encoder.layers.{i}"
        u = norm(x, f"{block}.layer_norm1")
        q, k, v = (linear(u, f"{block}.self_attn.{part}_proj") for part in "qkv")
        if i >= layers - DUAL:
            second = x if second is None else second
            second = second + linear(attend(attention, v, v, v), f"{block}.self_attn.out_proj")
        x = x + linear(attend(attention, q, k, v), f"{block}.self_attn.out_proj")
        hidden = linear(norm(x, f"{block}.layer_norm2"), f"{block}.mlp.fc1")
        x = x + linear(hidden * torch.sigmoid(1.702 * hidden), f"{block}.mlp.fc2")
    return x[:, 0] @ w["projection"].T, norm(second[:, 1:], "post_layernorm") @ w["projection"].T


def ours(options):
    command = [options.mpama, "predict", *options.images, "--clip", options.clip, "--adapter", options.adapter]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return [row["ms"]["model"] / 1e3 for row in rows if "ms" in row]


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--clip", required=True)
    options.add_argument("--adapter", required=True)
    options.add_argument("--images", nargs="+", required=True)
    options.add_argument("--mpama", default="target/release/mpama")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = options.parse_args()
    torch.set_num_threads(options.threads)
    tensors = load_file(pathlib.Path(options.clip) / "model.safetensors")
    weights = {
        name.removeprefix("vision_model."): tensor.float()
        for name, tensor in tensors.items()
        if name.startswith("vision_model.")
    }
    weights["projection"] = tensors["visual_projection.weight"].float()
    pixels = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    torch_ways = {"eager": eager, "sdpa": F.scaled_dot_product_attention}
    taken = {"mpama": [], **{way: [] for way in torch_ways}}
    for way in torch_ways.values():
        tower(weights, pixels, way)  # warm
    for _ in range(options.rounds):
        taken["mpama"] += ours(options)
        for way, attention in torch_ways.items():
            started = time.perf_counter()
            tower(weights, pixels, attention)
            taken[way].append(time.perf_counter() - started)
    print(f"torch {torch.__version__}, {options.threads} threads, one image at a time, f32, seconds")
    for way, seconds in taken.items():
        print(f"{way:6} best {min(seconds):6.2f}  median {statistics.median(seconds):6.2f}  of {len(seconds)}")
    for way in torch_ways:
        ratio = statistics.median(taken["mpama"]) / statistics.median(taken[way])
        print(f"mpama takes {ratio:.2f} of {way}'s time (medians)")


if __name__ == "__main__":
    main()
