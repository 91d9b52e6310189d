"""What the scripts of training steps share: each case runs in a process of its own, so that its peak memory is its own."""
import json
import multiprocessing
import os
import resource
import statistics
import time


def add_arguments(parser, warmup, iterations):
    """Options that all of them have."""
    parser.add_argument("--forms", default="eager,fused,compile")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--warmup", type=int, default=warmup)
    parser.add_argument("--iterations", type=int, default=iterations)
    parser.add_argument("--json", help="also write the result to this file")


def time_steps(step, arguments):
    """Seconds of the steps that count, and the process's peak memory, as a case answers them."""
    seconds = []
    for _ in range(arguments.warmup + arguments.iterations):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    measured = seconds[arguments.warmup :]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"medianSeconds": statistics.median(measured), "seconds": measured, "peakBytes": peak}


def run_cases(cases, measure, arguments, label, describe=lambda result: ""):
    """`measure(case, form, arguments, answer)` of each case in each form, in processes of their own; prints and writes the results."""
    context = multiprocessing.get_context("spawn")
    results = []
    for case in cases:
        for form in arguments.forms.split(","):
            answer = context.SimpleQueue()
            process = context.Process(target=measure, args=(case, form, arguments, answer))
            process.start()
            process.join()
            if process.exitcode != 0:
                raise SystemExit(f"{label(case)}, {form}: the process ended with {process.exitcode}")
            result = answer.get()
            results.append(result)
            print(f"{label(case)}, {form}: {result['medianSeconds']:.3f} s, {describe(result)}{result['peakBytes'] / 1e9:.2f} GB", flush=True)
    if arguments.json is not None:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=2)
