"""Training steps of the recipe `small-f32` by PyTorch: what packages/train/bench/train-step.bench.mjs is compared with.

    python autoencoder_step.py [--phases 1,2,3] [--forms eager,fused,compile] [--threads N] [--warmup 2] [--iterations 8] [--json FILE]

The autoencoder and its discriminator are written after apps/docs/reference/dcae.md and training.md, with the sizes and settings of
packages/train/configs/small-f32.json. A step is forward, loss, backward, clipping and AdamW, in float32; phase 3 adds the step of
the discriminator. What is frozen is computed once and without gradients. "fused" is AdamW in one pass, "compile" the same with
torch.compile. Each case runs in a process of its own, so that its peak memory is its own.
"""
import argparse

import torch
from torch import nn
from torch.nn import functional as F

from step_cases import add_arguments, run_cases, time_steps

FORMS = ("eager", "fused", "compile")
LATENT, HEAD = 32, 32
WIDTHS = (16, 32, 64, 128, 128, 128)
ENCODER_DEPTHS, DECODER_DEPTHS = (0, 1, 1, 1, 1, 2), (0, 1, 1, 2, 2, 2)
FIRST_ATTENTION = 3
# Of each phase: pictures, their side, learning rate, weight decay, betas.
PHASES = {1: (8, 128, 1e-3, 0.1, (0.9, 0.999)), 2: (4, 256, 1.25e-4, 0.001, (0.9, 0.999)), 3: (8, 128, 1e-4, 0.0, (0.5, 0.9))}
# What trains, by the beginnings of names; the others are frozen.
TRAINS = {1: ("",), 2: ("encoder.out.", "encoder.stages.5.", "decoder.enter.", "decoder.stages.5."), 3: ("decoder.norm.", "decoder.out.", "decoder.stages.1.")}


class RmsNorm(nn.Module):
    """Over channels at each pixel, with a bias."""

    def __init__(self, width):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x):
        normalized = x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-5)
        return normalized * self.weight[:, None, None] + self.bias[:, None, None]


class ResBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = RmsNorm(width)

    def forward(self, x):
        return x + self.norm(self.conv2(F.silu(self.conv1(x))))


class LinearAttention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.qkv, self.proj = nn.Conv2d(width, 3 * width, 1, bias=False), nn.Conv2d(width, width, 1, bias=False)
        self.norm = RmsNorm(width)

    def forward(self, x):
        batch, width, height, breadth = x.shape
        q, k, v = self.qkv(x).view(batch, width // HEAD, 3 * HEAD, height * breadth).split(HEAD, 2)
        q, k = F.relu(q), F.relu(k)
        if height * breadth > HEAD:
            attended = F.pad(v, (0, 0, 0, 1), value=1.0) @ k.transpose(2, 3) @ q
            attended = attended[:, :, :-1] / (attended[:, :, -1:] + 1e-15)
        else:
            weights = k.transpose(2, 3) @ q
            attended = v @ (weights / (weights.sum(2, keepdim=True) + 1e-15))
        return x + self.norm(self.proj(attended.reshape(batch, width, height, breadth)))


class GatedConv(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inverted = nn.Conv2d(width, 8 * width, 1)
        self.depth = nn.Conv2d(8 * width, 8 * width, 3, padding=1, groups=8 * width)
        self.point, self.norm = nn.Conv2d(4 * width, width, 1, bias=False), RmsNorm(width)

    def forward(self, x):
        a, gate = self.depth(F.silu(self.inverted(x))).chunk(2, 1)
        return x + self.norm(self.point(a * F.silu(gate)))


class Down(nn.Module):
    def __init__(self, width, out, shortcut=True):
        super().__init__()
        self.conv, self.groups = nn.Conv2d(width, out // 4, 3, padding=1), out if shortcut else 0

    def forward(self, x):
        y = F.pixel_unshuffle(self.conv(x), 2)
        return y + F.pixel_unshuffle(x, 2).unflatten(1, (self.groups, -1)).mean(2) if self.groups else y


class Up(nn.Module):
    def __init__(self, width, out, shortcut=True):
        super().__init__()
        self.conv, self.repeats = nn.Conv2d(width, 4 * out, 3, padding=1), 4 * out // width if shortcut else 0

    def forward(self, x):
        y = F.pixel_shuffle(self.conv(x), 2)
        return y + F.pixel_shuffle(x.repeat_interleave(self.repeats, 1), 2) if self.repeats else y


def blocks(stage, depth):
    width = WIDTHS[stage]
    if stage < FIRST_ATTENTION:
        return [ResBlock(width) for _ in range(depth)]
    return [nn.Sequential(LinearAttention(width), GatedConv(width)) for _ in range(depth)]


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        last = len(WIDTHS) - 1
        self.enter = Down(3, WIDTHS[1], shortcut=False)
        self.stages = nn.ModuleList()
        for stage, depth in enumerate(ENCODER_DEPTHS):
            down = [Down(WIDTHS[stage], WIDTHS[stage + 1])] if 0 < stage < last else []
            self.stages.append(nn.Sequential(*blocks(stage, depth), *down))
        self.out = nn.Conv2d(WIDTHS[last], LATENT, 3, padding=1)

    def forward(self, x):
        x = self.enter(x)
        for stage in self.stages:
            x = stage(x)
        return self.out(x) + x.unflatten(1, (LATENT, -1)).mean(2)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        last = len(WIDTHS) - 1
        self.enter = nn.Conv2d(LATENT, WIDTHS[last], 3, padding=1)
        self.stages = nn.ModuleList()
        for stage, depth in enumerate(DECODER_DEPTHS):
            up = [Up(WIDTHS[stage + 1], WIDTHS[stage])] if 0 < stage < last else []
            self.stages.append(nn.Sequential(*up, *blocks(stage, depth)))
        self.norm, self.out = RmsNorm(WIDTHS[1]), Up(WIDTHS[1], 3, shortcut=False)

    def deep(self, latent):
        """All but the shallowest stage with blocks and what follows it."""
        x = self.enter(latent) + latent.repeat_interleave(WIDTHS[-1] // LATENT, 1)
        for stage in reversed(self.stages[2:]):
            x = stage(x)
        return x

    def shallow(self, x):
        return self.out(F.relu(self.norm(self.stages[1](x))))

    def forward(self, latent):
        return self.shallow(self.deep(latent))


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()

    def forward(self, x):
        return self.decoder(self.encoder(x))


def discriminator(width=32):
    """PatchGAN: training.md section 4, half as wide."""

    def layer(inputs, outputs, stride):
        return [nn.Conv2d(inputs, outputs, 4, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]

    return nn.Sequential(
        nn.Conv2d(3, width, 4, 2, 1),
        nn.LeakyReLU(0.2),
        *layer(width, 2 * width, 2),
        *layer(2 * width, 4 * width, 2),
        *layer(4 * width, 8 * width, 1),
        nn.Conv2d(8 * width, 1, 4, 1, 1),
    )


def adamw(module, phase, form):
    """No decay for biases and norms inside of blocks."""
    _, _, rate, decay, betas = PHASES[phase]
    trained = [(name, weight) for name, weight in module.named_parameters() if weight.requires_grad]
    free = [weight for name, weight in trained if "norm.weight" in name or "bias" in name]
    decayed = [weight for name, weight in trained if not ("norm.weight" in name or "bias" in name)]
    groups = [{"params": decayed, "weight_decay": decay}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, rate, betas, fused=form != "eager")


def update(optimizer):
    torch.nn.utils.clip_grad_norm_([weight for group in optimizer.param_groups for weight in group["params"]], 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def reconstruction_step(model, phase, form):
    compiled = torch.compile(model) if form == "compile" else model
    optimizer = adamw(model, phase, form)

    def step(x):
        loss = F.l1_loss(compiled(x), x)
        loss.backward()
        update(optimizer)
        return loss

    return step


def adversarial_step(model, form, weight=0.1):
    judge = discriminator()
    optimizers = [adamw(model, 3, form), adamw(judge, 3, form)]
    last = model.decoder.out.conv.weight
    functions = (lambda x: model.decoder.deep(model.encoder(x)), model.decoder.shallow, judge)
    frozen, head, judged = [torch.compile(function) for function in functions] if form == "compile" else functions

    def step(x):
        with torch.no_grad():
            features = frozen(x)
        y = head(features)
        leaf = y.detach().requires_grad_()
        loss = F.l1_loss(leaf, x)
        judge.requires_grad_(False)
        (of_loss,) = torch.autograd.grad(loss, leaf)
        (of_judge,) = torch.autograd.grad(-judged(leaf).mean(), leaf)
        norms = [torch.autograd.grad(y, last, gradient, retain_graph=True)[0].norm() for gradient in (of_loss, of_judge)]
        scale = weight * (norms[0] / (norms[1] + 1e-4)).clamp(0, 1e4)
        y.backward(of_loss + scale * of_judge)
        update(optimizers[0])
        judge.requires_grad_(True)
        with torch.no_grad():
            y = head(features)
        real, fake = judged(x), judged(y)
        (0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())).backward()
        update(optimizers[1])
        return loss

    return step


def measure(phase, form, arguments, answer):
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    model = Autoencoder()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(TRAINS[phase]))
    step = adversarial_step(model, form) if phase == 3 else reconstruction_step(model, phase, form)
    batch, side = PHASES[phase][:2]
    x = 2 * torch.rand(batch, 3, side, side) - 1
    answer.put({"phase": phase, "form": form, "images": batch, **time_steps(lambda: step(x).item(), arguments)})


def main():
    parser = argparse.ArgumentParser(description="Training steps of small-f32 by PyTorch, as packages/train/bench/train-step.bench.mjs.")
    parser.add_argument("--phases", default="1,2,3")
    add_arguments(parser, warmup=2, iterations=8)
    arguments = parser.parse_args()
    phases, forms = [int(phase) for phase in arguments.phases.split(",")], arguments.forms.split(",")
    if not set(phases) <= set(PHASES) or not set(forms) <= set(FORMS):
        parser.error(f"--phases takes {', '.join(map(str, PHASES))}, --forms {', '.join(FORMS)}")
    per_image = lambda result: f"{1000 * result['medianSeconds'] / result['images']:.1f} ms per image, "
    run_cases(phases, measure, arguments, lambda phase: f"phase {phase}", per_image)


if __name__ == "__main__":
    main()
