"""Times the image tower in PyTorch beside ours: ViT-L/14@336 at 518 pixels with a V-V stream, one image.

Four ways in PyTorch. `eager` forms every matrix of scores, as AnomalyCLIP's code does, in f32 or under autocast
to bf16; `sdpa` is as well as one writes it, with `scaled_dot_product_attention`, in f32 or with weights and
activations in bf16. All compute every row of the last block. Ours is the time that `mpama predict --json` gives
for the model, the maps included, for every --dtype; the first image of each of its runs is a warm-up.

Rounds are interleaved. Of each way the best, the median and the spread (worst less best, in parts of the median)
are printed, and what ours takes of PyTorch's time. Run it from the repository's root:

    python -m venv .venv && .venv/bin/pip install -r tests/fixtures/requirements.txt
    .venv/bin/python tests/fixtures/large_clip.py runs/large
    PATH=.venv/bin:$PATH just bench-peer --clip runs/large --adapter ADAPTER --dtype f32 bf16

ADAPTER is one that was trained on that backbone or imported for it (`mpama import anomalyclip`, for which
runs/large needs a CLIP's tokenizer.json beside the weights). Without --images it scores noise: speed does not
depend on what is seen.
"""

import argparse
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file

SIDE, PATCH, HEADS, DUAL = 518, 14, 16, 19
DTYPES = ["f32", "bf16", "int16", "int8"]


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


def autocast():
    return torch.autocast("cpu", dtype=torch.bfloat16)


# name: attention, type of weights and activations, context
TORCH = {
    "eager f32": (eager, torch.float32, contextlib.nullcontext),
    "eager bf16 autocast": (eager, torch.float32, autocast),
    "sdpa f32": (F.scaled_dot_product_attention, torch.float32, contextlib.nullcontext),
    "sdpa bf16": (F.scaled_dot_product_attention, torch.bfloat16, contextlib.nullcontext),
}


def load(clip):
    """The weights of the image tower, in every type that is needed."""
    tensors = load_file(pathlib.Path(clip) / "model.safetensors")
    f32 = {
        name.removeprefix("vision_model."): tensor.float()
        for name, tensor in tensors.items()
        if name.startswith("vision_model.")
    }
    f32["projection"] = tensors["visual_projection.weight"].float()
    # bf16 copies are made before the f32 are marked: only what has a gradient is cast once per pass by autocast
    bf16 = {name: tensor.bfloat16() for name, tensor in f32.items()}
    return {torch.float32: {name: tensor.requires_grad_() for name, tensor in f32.items()}, torch.bfloat16: bf16}


def theirs(weights, pixels, way):
    attention, dtype, context = TORCH[way]
    started = time.perf_counter()
    with context():
        tower(weights[dtype], pixels.to(dtype), attention)
    return time.perf_counter() - started


def ours(options, images, dtype):
    command = [options.mpama, "predict", *images, "--clip", options.clip, "--adapter", options.adapter, "--json"]
    command += ["--dtype", dtype] * (dtype != "f32")
    environment = os.environ | {"RAYON_NUM_THREADS": str(options.threads)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return [row["ms"]["model"] / 1e3 for row in rows if "ms" in row][1:]


def noise(folder, count):
    numbers = numpy.random.default_rng(0)
    for i in range(count):
        path = folder / f"{i}.png"
        Image.fromarray(numbers.integers(0, 256, (SIDE, SIDE, 3), dtype=numpy.uint8)).save(path)
        yield str(path)


def measure(options, images):
    """Seconds of every way, round after round."""
    weights = load(options.clip)
    pixels = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    taken = {f"mpama {dtype}": [] for dtype in options.dtype} | {way: [] for way in options.torch}
    for way in options.torch:
        theirs(weights, pixels, way)  # warm
    for _ in range(options.rounds):
        for dtype in options.dtype:
            taken[f"mpama {dtype}"] += ours(options, images, dtype)
        for way in options.torch:
            taken[way].append(theirs(weights, pixels, way))
    return taken


def summary(seconds):
    median = statistics.median(seconds)
    return {
        "best": min(seconds),
        "median": median,
        "spread": (max(seconds) - min(seconds)) / median,
        "seconds": seconds,
    }


def show(options, report):
    print(f"torch {torch.__version__}, {options.threads} threads, one image at a time, seconds")
    for way, s in report["ways"].items():
        row = f"best {s['best']:6.2f}  median {s['median']:6.2f}  spread {s['spread']:4.0%}"
        print(f"{way:20} {row}  of {len(s['seconds'])}")
    for name, ratios in report["ratios"].items():
        for way, ratio in ratios.items():
            print(f"{name:11} takes {ratio['median']:.2f} of {way}'s time (medians; {ratio['best']:.2f} of the bests)")


def arguments():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--clip", required=True)
    options.add_argument("--adapter", required=True)
    options.add_argument("--images", nargs="+", help="two or more; the first is a warm-up")
    options.add_argument("--dtype", nargs="+", choices=DTYPES, default=["f32"], help="ours")
    options.add_argument("--torch", nargs="*", choices=TORCH, default=list(TORCH), help="theirs; all if not given")
    options.add_argument("--mpama", default="target/release/mpama")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    options.add_argument("--json", action="store_true")
    parsed = options.parse_args()
    if parsed.images and len(parsed.images) < 2:
        options.error("--images needs two or more: the first is a warm-up")
    return parsed


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    if os.getloadavg()[0] > options.threads / 4:
        print("warning: something else is at work here; PyTorch's threads suffer from it more than ours", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        images = options.images or list(noise(pathlib.Path(folder), 2))
        taken = measure(options, images)
    ways = {way: summary(seconds) for way, seconds in taken.items()}
    ratios = {
        name: {
            way: {key: ways[name][key] / ways[way][key] for key in ("best", "median")}
            for way in options.torch
        }
        for name in ways
        if name not in options.torch
    }
    report = {"type": "peer", "v": 1, "torch": torch.__version__, "threads": options.threads}
    report |= {"ways": ways, "ratios": ratios}
    print(json.dumps(report)) if options.json else show(options, report)


if __name__ == "__main__":
    main()
