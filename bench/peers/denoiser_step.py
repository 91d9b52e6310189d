"""Training steps of UViT-S by PyTorch: what `dcae bench diffusion uvit-s --parts train` is compared with.

    python denoiser_step.py [--tokens 64,256,1024] [--forms eager,fused,compile] [--batch-size 4] [--threads N] [--warmup 1]
                            [--iterations 3] [--json FILE]

The network is that of apps/docs/reference/diffusion.md section 3, on the latents that have these numbers of tokens: DC-AE f64c128 and
f32c32, and SD-VAE f8, all of 512 pixels. A step is forward, mean squared error, backward and AdamW, in float32. "fused" is
AdamW in one pass, "compile" the same with torch.compile. Each case runs in a process of its own, so that its peak memory is its own.
"""
import argparse
import math

from step_cases import add_arguments, run_cases, time_steps

# Channels, side and patch size of the latents, by the number of tokens.
LATENTS = {64: (128, 8, 1), 256: (32, 16, 1), 1024: (4, 64, 2)}
FORMS = ("eager", "fused", "compile")
WIDTH, HEADS, DEPTH, CLASSES = 512, 8, 12, 1001


def build(tokens):
    import torch
    from torch import nn
    from torch.nn import functional as F

    channels, side, patch = LATENTS[tokens]

    class Block(nn.Module):
        def __init__(self, has_skip):
            super().__init__()
            self.skip = nn.Linear(2 * WIDTH, WIDTH) if has_skip else None
            self.norm1, self.norm2 = nn.LayerNorm(WIDTH, eps=1e-5), nn.LayerNorm(WIDTH, eps=1e-5)
            self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH)
            self.fc1, self.fc2 = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

        def forward(self, x, skip=None):
            if self.skip is not None:
                x = self.skip(torch.cat([x, skip], -1))
            batch, count, _ = x.shape
            q, k, v = self.qkv(self.norm1(x)).view(batch, count, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
            attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, count, WIDTH)
            x = x + self.proj(attended)
            return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))

    class UViT(nn.Module):
        def __init__(self):
            super().__init__()
            self.patch = nn.Conv2d(channels, WIDTH, patch, patch)
            self.label = nn.Embedding(CLASSES, WIDTH)
            self.position = nn.Parameter(0.02 * torch.randn(1, 2 + tokens, WIDTH))
            self.first = nn.ModuleList(Block(False) for _ in range(DEPTH // 2))
            self.middle = Block(False)
            self.last = nn.ModuleList(Block(True) for _ in range(DEPTH // 2))
            self.norm, self.out = nn.LayerNorm(WIDTH, eps=1e-5), nn.Linear(WIDTH, patch * patch * channels)

        def forward(self, x, t, labels):
            batch, side_out = x.shape[0], side // patch
            frequencies = torch.exp(-math.log(10000) * torch.arange(WIDTH // 2) / (WIDTH // 2))
            angles = t[:, None] * frequencies
            time_token = torch.cat([angles.cos(), angles.sin()], -1)[:, None]
            y = torch.cat([self.label(labels)[:, None], time_token, self.patch(x).flatten(2).transpose(1, 2)], 1) + self.position
            kept = []
            for block in self.first:
                y = block(y)
                kept.append(y)
            y = self.middle(y)
            for block in self.last:
                y = block(y, kept.pop())
            y = self.out(self.norm(y))[:, 2:].view(batch, side_out, side_out, patch, patch, channels)
            return y.permute(0, 5, 1, 3, 2, 4).reshape(batch, channels, side, side)

    return UViT(), (channels, side, side)


def measure(tokens, form, arguments, answer):
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    model, shape = build(tokens)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-6, fused=form != "eager")
    forward = torch.compile(model) if form == "compile" else model
    x, noise = torch.randn(2, arguments.batch_size, *shape)
    t, labels = 1000 * torch.rand(arguments.batch_size), torch.arange(arguments.batch_size)

    def step():
        loss = F.mse_loss(forward(x, t, labels), noise)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    answer.put({"tokens": tokens, "form": form, **time_steps(step, arguments)})


def main():
    parser = argparse.ArgumentParser(description="Training steps of UViT-S by PyTorch, as dcae bench diffusion --parts train.")
    parser.add_argument("--tokens", default="64,256,1024", help="of 64, 256 and 1024")
    parser.add_argument("--batch-size", type=int, default=4)
    add_arguments(parser, warmup=1, iterations=3)
    arguments = parser.parse_args()
    counts, forms = [int(count) for count in arguments.tokens.split(",")], arguments.forms.split(",")
    if not set(counts) <= set(LATENTS) or not set(forms) <= set(FORMS):
        parser.error(f"--tokens takes {', '.join(map(str, LATENTS))}, --forms {', '.join(FORMS)}")
    run_cases(counts, measure, arguments, lambda tokens: f"{tokens} tokens")


if __name__ == "__main__":
    main()
