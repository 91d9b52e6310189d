"""Encode and decode of an autoencoder by PyTorch and the diffusers library: what `dcae bench autoencoder` is compared with.

    python autoencoder.py FOLDER [--forms eager,channels-last,compile,bfloat16] [--size 256,512] [--batch-size 1]
                          [--parts encode,decode] [--threads N] [--device cpu] [--warmup 1] [--iterations 5] [--json FILE]

FOLDER is a checkpoint in diffusers' layout, as `dcae init --format diffusers` and `dcae convert --format diffusers` write it. Each case
runs in a process of its own, so that its peak memory is its own. The protocol is that of `dcae bench autoencoder`: evaluation mode,
random normal input, encode and decode apart, times with the result on the host. So is the JSON, with the field `form` beside
what is there. GFLOP/s aren't in it: the multiply-accumulates are those of the same case of dcae's.
"""
import argparse
import datetime
import json
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time

FORMS = ("eager", "channels-last", "compile", "bfloat16")


def parse_arguments():
    def names(allowed):
        def parse(text):
            values = text.split(",")
            unknown = [value for value in values if value not in allowed]
            if unknown:
                raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: expected {', '.join(allowed)}")
            return values

        return parse

    def counts(text):
        values = [int(value) for value in text.split(",")]
        if min(values) < 1:
            raise argparse.ArgumentTypeError("expected positive numbers")
        return values

    parser = argparse.ArgumentParser(description="Encode and decode by PyTorch and diffusers, as dcae bench autoencoder.")
    parser.add_argument("folder", help="a checkpoint in diffusers' layout")
    parser.add_argument("--forms", type=names(FORMS), default=["eager", "channels-last", "compile"])
    parser.add_argument("--size", type=counts, default=[256], help="sides of the pictures")
    parser.add_argument("--batch-size", type=counts, default=[1], help="pictures per run")
    parser.add_argument("--parts", type=names(("encode", "decode")), default=["encode", "decode"])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--json", help="also write the result to this file")
    return parser.parse_args()


def open_model(folder, dtype):
    """The class that the folder's config.json names."""
    import diffusers

    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        name = json.load(file)["_class_name"]
    return getattr(diffusers, name).from_pretrained(folder, torch_dtype=dtype).eval()


def latent_of(encoded):
    """Point latents of AutoencoderDC and AutoencoderTiny; the mode of AutoencoderKL's distribution."""
    for field in ("latent", "latents"):
        if hasattr(encoded, field):
            return getattr(encoded, field)
    return encoded.latent_dist.mode()


def synchronize(device):
    if device != "cpu":
        import torch

        torch.cuda.synchronize()


def run_case(case):
    import torch

    torch.set_num_threads(case["threads"])
    torch.manual_seed(0)
    dtype = torch.bfloat16 if case["form"] == "bfloat16" else torch.float32
    started = time.perf_counter()
    model = open_model(case["folder"], dtype).to(case["device"])
    if case["form"] in ("channels-last", "bfloat16"):
        model = model.to(memory_format=torch.channels_last)

    def encode(x):
        return latent_of(model.encode(x))

    def decode(z):
        return model.decode(z).sample

    pictures = torch.randn(case["batch"], 3, case["size"], case["size"])
    with torch.inference_mode():
        if case["part"] == "decode":
            # One small picture tells the shape of latents.
            small = encode(torch.zeros(1, 3, 256, 256, dtype=dtype, device=case["device"]))
            side = case["size"] * small.shape[2] // 256
            pictures = torch.randn(case["batch"], small.shape[1], side, side)
        function = encode if case["part"] == "encode" else decode
        if case["form"] == "compile":
            function = torch.compile(function)
        if case["form"] in ("channels-last", "bfloat16"):
            pictures = pictures.to(memory_format=torch.channels_last)
        load_seconds = time.perf_counter() - started
        times = []
        for i in range(case["warmup"] + case["iterations"]):
            started = time.perf_counter()
            result = function(pictures.to(case["device"], dtype)).float().cpu()
            synchronize(case["device"])
            if i >= case["warmup"]:
                times.append(time.perf_counter() - started)
            if i == 0:
                assert bool(torch.isfinite(result).all()), "the result isn't finite"
                if case["form"] == "compile":
                    load_seconds += time.perf_counter() - started
    quartiles = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else [times[0]] * 3
    return {
        "times": {
            "median": quartiles[1],
            "min": min(times),
            "max": max(times),
            "spread": (quartiles[2] - quartiles[0]) / 2 / quartiles[1],
            "runs": len(times),
        },
        "loadSeconds": load_seconds,
        # Linux gives KiB, macOS bytes.
        "peakRssMiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)),
        "shapes": {"input": list(pictures.shape), "output": list(result.shape)},
    }


def child(connection, case):
    try:
        connection.send({"measurement": run_case(case)})
    except Exception as error:  # reported with its case, as dcae does
        connection.send({"problem": f"{type(error).__name__}: {error}".splitlines()[0]})


def run_isolated(case):
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=child, args=(theirs, case))
    process.start()
    theirs.close()
    try:
        answer = ours.recv()
    except EOFError:
        answer = {"problem": "the process ended without a result, most likely because memory ran out"}
    process.join()
    return answer


def cpu_name():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def main():
    arguments = parse_arguments()
    import diffusers
    import torch

    entries = []
    for batch in arguments.batch_size:
        for size in arguments.size:
            for part in arguments.parts:
                for form in arguments.forms:
                    case = {
                        "model": os.path.basename(os.path.normpath(arguments.folder)),
                        "device": arguments.device,
                        "dtype": "bfloat16" if form == "bfloat16" else "float32",
                        "threads": arguments.threads,
                        "size": size,
                        "batch": batch,
                        "part": part,
                        "form": form,
                    }
                    job = {"folder": arguments.folder, "warmup": arguments.warmup, "iterations": arguments.iterations}
                    entry = {**case, **run_isolated({**case, **job})}
                    entries.append(entry)
                    if "problem" in entry:
                        told = entry["problem"]
                    else:
                        measured = entry["measurement"]
                        told = f"{measured['times']['median']:.3f} s, {measured['peakRssMiB']} MiB"
                    print(f"{case['model']} {part} {size} x{batch} {form}: {told}", file=sys.stderr)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    result = {
        "formatVersion": 1,
        "kind": "autoencoder-throughput",
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(),
        "machine": {
            "platform": f"{sys.platform} {platform.machine()}",
            "cpu": cpu_name(),
            "instructionSet": torch.backends.cpu.get_cpu_capability(),
            "threads": arguments.threads,
            "memoryGiB": round(memory / 2**30),
            "python": platform.python_version(),
        },
        "runtime": f"PyTorch {torch.__version__}, diffusers {diffusers.__version__}",
        "warmup": arguments.warmup,
        "iterations": arguments.iterations,
        "conditions": ["random normal input", "each case ran in a process of its own; peak memory is that of the process"],
        "peaks": [],
        "entries": entries,
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
