"""Times one training step of each stage in PyTorch beside ours: ViT-L/14@336's sizes at 518 pixels, 8 images whose
features are in memory, f32, random weights.

As well as one writes it in PyTorch. Stage one: ten prompts cut at their end (17 tokens) through the frozen text
tower with `scaled_dot_product_attention`, maps of numbers with known lengths instead of projected patches. Stage
two: pooled tokens gathered by expert, so that each goes through the two it was sent to. Rounds of both programs are
interleaved; the best and the median step of each are printed. Run it from the repository's root:

    python -m venv .venv && .venv/bin/pip install -r tests/fixtures/requirements.txt
    cargo bench -p mpama-train --bench steps --no-run
    .venv/bin/python tests/peer/steps.py --ours target/release/deps/steps-…
"""

import argparse
import re
import statistics
import subprocess
import time

import torch
import torch.nn.functional as F

IMAGES, GRID, SIDE, WIDTH, JOINT = 8, 37, 518, 1024, 768
LEVELS, TEXT, LAYERS, HEADS, LENGTH, LEARNED, DEEP = (1, 2, 3, 4), 768, 12, 12, 17, 12, (8, 4)
LEARNABLE, TOP = 3, 2


def random(*shape):
    return torch.randn(shape) * shape[-1] ** -0.5


def pooled(planes, p):
    return planes if p == 1 else F.avg_pool2d(planes, p, 1, p // 2, count_include_pad=False)


def enlarged(map, p):
    """Even windows lie on the corners of patches, odd ones on their centres."""
    if p % 2:
        return F.interpolate(map[:, None], (SIDE, SIDE), mode="bilinear", align_corners=False)[:, 0]
    size = SIDE + SIDE // GRID
    inner = F.interpolate(map[:, None], (size, size), mode="bilinear", align_corners=False)[:, 0]
    edge = (size - SIDE) // 2
    return inner[:, edge : edge + SIDE, edge : edge + SIDE]


def local_losses(maps, masks):
    total = 0
    for map in maps:
        truth = torch.where(masks > 0.5, map, 1 - map) * (1 - 2e-5) + 2e-5
        total = total - ((1 - truth) ** 2 * truth.log()).mean()
        for p, t in ((map, masks), (1 - map, 1 - masks)):
            p, t = p.flatten(1), t.flatten(1)
            total = total + (1 - (2 * (p * t).sum(1) + 1) / (p.sum(1) + t.sum(1) + 1)).mean()
        above = (F.relu(map - 0.5) * (1 - masks)).sum() / (1 - masks).sum()
        total = total + 5 * (above + (F.relu(0.5 - map) * masks).sum() / masks.sum())
    return total


class Batch:
    def __init__(self):
        self.patches, self.classes = random(IMAGES, GRID * GRID, WIDTH), random(IMAGES, WIDTH)
        self.labels = torch.arange(IMAGES) % 2
        along = (torch.arange(SIDE) / SIDE - 0.5) ** 2
        self.masks = ((along[:, None] + along) < 0.02).float() * self.labels[:, None, None]

    def planes(self):
        return self.patches.transpose(1, 2).unflatten(2, (GRID, GRID))


class StageOne:
    def __init__(self, projection, batch):
        shapes = {"q": (TEXT, TEXT), "k": (TEXT, TEXT), "v": (TEXT, TEXT), "o": (TEXT, TEXT)}
        shapes |= {"up": (4 * TEXT, TEXT), "down": (TEXT, 4 * TEXT)}
        self.blocks = [
            {name: (random(*shape), torch.zeros(shape[0])) for name, shape in shapes.items()} for _ in range(LAYERS)
        ]
        self.norm = torch.ones(TEXT), torch.zeros(TEXT)
        self.start, self.words, self.positions = random(1, TEXT), random(10, 4, TEXT), random(LENGTH, TEXT)
        learned = {"global": (2, LEARNED, TEXT), "shared": (2, 2, TEXT), "local": (4, 2, LEARNED - 2, TEXT)}
        learned |= {"deep": (DEEP[0], DEEP[1], TEXT), "w1": (TEXT, 2 * TEXT), "b1": (TEXT,), "w2": (TEXT, TEXT)}
        learned |= {"b2": (TEXT,)}
        self.learned = {name: random(*shape).requires_grad_() for name, shape in learned.items()}
        self.text_projection, self.projection = random(JOINT, TEXT), projection
        planes = (batch.patches @ projection.T).transpose(1, 2).unflatten(2, (GRID, GRID))
        self.lengths = [pooled(planes, p).norm(dim=1) for p in LEVELS]
        self.adam = torch.optim.Adam(self.learned.values(), 1e-3, (0.5, 0.999))

    def encode(self, x):
        """The end token's row of `x` `[10, 17, 768]`."""
        x = x + self.positions
        for i, block in enumerate(self.blocks):
            if 1 <= i <= DEEP[0]:
                prompt = self.learned["deep"][i - 1].expand(len(x), -1, -1)
                x = torch.cat([x[:, :1], prompt, x[:, 1 + DEEP[1] :]], 1)
            u = F.layer_norm(x, (TEXT,), *self.norm)
            q, k, v = (F.linear(u, *block[name]).unflatten(-1, (HEADS, -1)).transpose(1, 2) for name in "qkv")
            attended = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
            x = x + F.linear(attended, *block["o"])
            hidden = F.linear(F.layer_norm(x, (TEXT,), *self.norm), *block["up"])
            x = x + F.linear(hidden * torch.sigmoid(1.702 * hidden), *block["down"])
        ends = torch.tensor([LENGTH - 2, LENGTH - 1] * 5)
        ends = F.layer_norm(x[torch.arange(10), ends], (TEXT,), *self.norm)
        return F.normalize(ends @ self.text_projection.T, dim=-1)

    def loss(self, batch):
        learned = self.learned
        local = torch.cat([learned["shared"].expand(4, -1, -1, -1), learned["local"]], 2)  # [4, 2, 12, W]
        salient = torch.cat([learned["global"], local.amax(0)], -1)
        bridged = F.linear(F.relu(F.linear(salient, learned["w1"], learned["b1"])), learned["w2"], learned["b2"])
        contexts = torch.cat([bridged, local.flatten(0, 1)])
        vectors = self.encode(torch.cat([self.start.expand(10, 1, -1), contexts, self.words], 1))
        directions = vectors[3::2] - vectors[2::2]  # [4, D]
        odds = (batch.patches @ (directions @ self.projection).T).transpose(1, 2).unflatten(2, (GRID, GRID))
        maps = []
        for i, p in enumerate(LEVELS):
            map = torch.sigmoid(pooled(odds[:, i : i + 1], p)[:, 0] / self.lengths[i] / 0.07)
            maps.append(enlarged(map, p))
        seen = F.normalize(batch.classes @ self.projection.T, dim=-1)
        return F.cross_entropy(seen @ vectors[:2].T / 0.07, batch.labels) + local_losses(maps, batch.masks)


class StageTwo:
    def __init__(self, projection):
        self.projection, self.directions = projection, random(len(LEVELS), JOINT)
        self.router = random(LEARNABLE + 2, WIDTH).requires_grad_()
        self.experts = [projection.clone().requires_grad_() for _ in range(LEARNABLE)]
        self.adam = torch.optim.Adam([self.router, *self.experts], 1e-6, (0.5, 0.999))

    def loss(self, batch):
        maps = []
        frozen = (batch.patches @ self.projection.T).transpose(1, 2).unflatten(2, (GRID, GRID))
        for i, p in enumerate(LEVELS):
            planes = pooled(batch.planes(), p)
            tokens = planes.flatten(2).transpose(1, 2).flatten(0, 1)
            of_frozen = pooled(frozen, p).flatten(2).transpose(1, 2).flatten(0, 1)
            gates, chosen = (tokens @ self.router.T).softmax(-1).topk(TOP, -1)
            gates = torch.zeros(len(tokens), LEARNABLE + 2).scatter(1, chosen, gates)
            mixed = of_frozen * gates[:, :1]
            for e, weight in enumerate(self.experts):
                rows = (chosen == e + 1).any(1).nonzero()[:, 0]
                mixed = mixed.index_add(0, rows, (tokens[rows] @ weight.T) * gates[rows, e + 1, None])
            map = torch.sigmoid(F.normalize(mixed, dim=-1) @ self.directions[i] / 0.07)
            maps.append(enlarged(map.reshape(IMAGES, *planes.shape[2:]), p))
        return local_losses(maps, batch.masks)


def step(stage, batch):
    started = time.perf_counter()
    stage.adam.zero_grad()
    stage.loss(batch).backward()
    stage.adam.step()
    return time.perf_counter() - started


def ours(program, stage, rounds):
    command = [program, "--bench", stage, "--rounds", str(rounds), "--every"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(seconds) for seconds in re.findall(r"^round .* ([\d.]+) s$", done.stdout, re.MULTILINE)]


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--ours", required=True, help="the program that `cargo bench --no-run` names")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--steps", type=int, default=4, help="of each program in each round")
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = options.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    batch, projection = Batch(), random(JOINT, WIDTH)
    print(f"torch {torch.__version__}, {options.threads} threads, {IMAGES} images, f32, seconds")
    for name, stage in {"one": StageOne(projection, batch), "two": StageTwo(projection)}.items():
        taken = {"mpama": [], "torch": []}
        step(stage, batch)  # warm
        for _ in range(options.rounds):
            taken["mpama"] += ours(options.ours, name, options.steps)
            taken["torch"] += [step(stage, batch) for _ in range(options.steps)]
        for way, seconds in taken.items():
            best, median = min(seconds), statistics.median(seconds)
            print(f"stage {name} {way} best {best:6.3f}  median {median:6.3f}  of {len(seconds)}")
        best = min(taken["mpama"]) / min(taken["torch"])
        median = statistics.median(taken["mpama"]) / statistics.median(taken["torch"])
        print(f"stage {name}: mpama takes {median:.2f} of torch's time (medians), {best:.2f} (best)")


if __name__ == "__main__":
    main()
