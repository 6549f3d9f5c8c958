"""Scores images with this adapter in PyTorch: python detect.py CLIP_FOLDER_OR_ID IMAGE..."""

import json
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from transformers import CLIPModel

HERE = pathlib.Path(__file__).parent
MODEL = json.loads((HERE / "adapter_config.json").read_text())["model"]
TENSORS = load_file(HERE / "adapter_model.safetensors")
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)


def look(clip, image):
    """Tokens of the patches [1, W, h, w] and of the whole image [1, D]."""
    tower, size = clip.vision_model, MODEL["image-size"]
    height, width = (size, size) if isinstance(size, int) else size
    image = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    pixels = (torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255 - MEAN) / STD
    x = tower.embeddings.patch_embedding(pixels[None])
    grid, places = x.shape[2:], tower.embeddings.position_embedding.weight
    side = round((len(places) - 1) ** 0.5)
    patches = F.interpolate(places[1:].T.reshape(1, -1, side, side), grid, mode="bilinear")
    x = torch.cat([tower.embeddings.class_embedding.view(1, 1, -1), x.flatten(2).mT], 1)
    x = tower.pre_layrnorm(x + torch.cat([places[None, :1], patches.flatten(2).mT], 1))
    blocks, local = tower.encoder.layers, None
    depth = MODEL["vision"]["vv-depth"]
    depth = len(blocks) * 19 // 24 if depth == "auto" else depth
    for i, block in enumerate(blocks):
        if i >= len(blocks) - depth:  # attention of values with values, added up beside the tower's own stream
            attention = block.self_attn
            v = attention.v_proj(block.layer_norm1(x)).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
            seen = torch.softmax(v @ v.mT * attention.scale, -1) @ v
            local = (x if local is None else local) + attention.out_proj(seen.transpose(1, 2).flatten(2))
        x = block(x, None, None)[0]
    local = tower.post_layernorm(x if local is None else local)[:, 1:]
    whole = tower.post_layernorm(x[:, 0]) if MODEL["vision"]["class-ln-post"] else x[:, 0]
    return local.mT.unflatten(2, grid), clip.visual_projection(whole)


def joint(clip, tokens):
    """Tokens [N, W] in the joint space [N, D], through the experts if the adapter has them."""
    plain = clip.visual_projection(tokens)
    if "router.weight" not in TENSORS:
        return plain
    gates = torch.softmax(tokens @ TENSORS["router.weight"].T, -1)
    best = gates.topk(MODEL["experts"]["top-k"]).indices
    gates = gates * torch.zeros_like(gates).scatter(-1, best, 1)
    learned = range(1, 1 + MODEL["experts"]["learnable"])
    return gates[:, :1] * plain + sum(gates[:, i : i + 1] * (tokens @ TENSORS[f"experts.{i}.weight"].T) for i in learned)


def abnormal(vectors, pair):
    """Probability that each vector is abnormal rather than normal."""
    return torch.sigmoid(F.normalize(vectors, dim=-1) @ (pair[1] - pair[0]) / MODEL["temperature"])


def enlarge(count, patches, size, even):
    """Linear interpolation of `count` samples along an axis of `patches`, at each of `size` pixels."""
    at = (torch.arange(size) + 0.5) * patches / size - (0 if even else 0.5)
    return (1 - (at.clamp(0, count - 1)[:, None] - torch.arange(count)).abs()).clamp(0)


@torch.no_grad()
def detect(clip, image):
    """The image's score in [0, 1] and its map of anomaly probabilities [H, W], at the network's size."""
    patches, whole = look(clip, image)
    (h, w), size, maps = patches.shape[2:], clip.config.vision_config.patch_size, []
    for level, pair in zip(MODEL["perception"]["levels"], TENSORS["text.local"]):
        windows = F.avg_pool2d(patches, level, 1, level // 2, count_include_pad=False)
        score = abnormal(joint(clip, windows[0].flatten(1).T), pair).view(windows.shape[2:])
        rows, columns = (enlarge(n, m, m * size, level % 2 == 0) for n, m in zip(score.shape, (h, w)))
        maps.append(rows @ score @ columns.T)
    mean, weight = torch.stack(maps).mean(0), MODEL["score"]["map-weight"]
    return ((1 - weight) * abnormal(whole, TENSORS["text.global"]) + weight * mean.max()).item(), mean


if __name__ == "__main__":
    model = CLIPModel.from_pretrained(sys.argv[1]).float().eval()
    for name in sys.argv[2:]:
        score, heatmap = detect(model, Image.open(name))
        row, column = divmod(heatmap.argmax().item(), heatmap.shape[1])
        print(json.dumps({"path": name, "score": score, "map_max": heatmap.max().item(), "peak": [column, row]}))
