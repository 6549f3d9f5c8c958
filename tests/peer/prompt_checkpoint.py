"""Compares `mpama import anomalyclip FILE --clip CLIP --out ADAPTER` with PyTorch.

    .venv/bin/python tests/peer/prompt_checkpoint.py FILE CLIP ADAPTER

CLIP may be one of random weights from `tests/fixtures/large_clip.py`, to which the files of a tokenizer were
added. The versions are those of tests/fixtures/requirements.txt.
"""

import pathlib
import sys

import torch
from safetensors.torch import load_file
from transformers import CLIPModel

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "fixtures"))
from recipes.prompt_checkpoint import text_features

TOLERANCE = 1e-4


def main(checkpoint, clip, adapter):
    learner = torch.load(checkpoint, map_location="cpu", weights_only=True)["prompt_learner"]
    theirs = text_features(CLIPModel.from_pretrained(clip).eval(), learner)
    ours = load_file(pathlib.Path(adapter) / "adapter_model.safetensors")
    for name, tensor in {"text.global": ours["text.global"], "text.local": ours["text.local"][0]}.items():
        worst = (tensor - theirs).abs().max().item()
        print(f"{name}: differs by {worst:.1e} at most, of {theirs.abs().max():.2f}")
        assert worst < TOLERANCE, name


if __name__ == "__main__":
    main(*sys.argv[1:])
