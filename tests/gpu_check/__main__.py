"""Check of training on one GPU, in at most eight minutes: `make gpu-check`.

Prints one JSON line a measurement, and tables on stderr. Ends with 1 if a metric on the device differs from that on the
CPU, and with 2 without a GPU. `--device cpu --scale small` runs the same on a CPU. No Spark session is started.

The check `agreement` trains every network on the CPU in float32 and on the device in each precision, and validates the
stored weights of the device on both. `waits_a_step` are operations in which the host waited for the GPU. The check
`speed` trains on generated data of 360,000 users and 160,000 items. `waiting_share` is the share of time that the GPU
waited between two steps, `loading_share` the share that the host spent in the loader, mostly while the GPU computed.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from recsys_spark.core.names import NETWORKS
from tests.gpu_check.checks import SCALES, Check
from tests.gpu_check.data import generate_plays, read_movielens
from tests.gpu_check.results import Results

__all__ = ["main"]

# SVAE takes the CPU most of the time, so it comes last.
KINDS = sorted(NETWORKS, key=lambda kind: kind == "svae")
CHECKS = ("agreement", "processes", "speed")
# Share of the time for the agreement of all networks.
AGREEMENT = 0.55


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all checks and return the exit status."""
    options = _parse(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print("torch sees no GPU: install a driver and a torch with CUDA, or pass --device cpu", file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    scale, results = SCALES[options.scale], Results(options.minutes)
    users, items, mean = scale.agreement
    plays = generate_plays(users, items, mean)
    if options.movielens is not None:
        plays = read_movielens(options.movielens, users)
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        check = Check(options.device, scale, Path(folder), results, plays)
        check.describe_machine()
        steps: dict[str, Callable[[], None]] = {
            "agreement": partial(check.check_agreement, options.kinds, 60 * options.minutes * AGREEMENT),
            "processes": check.check_two_processes,
            "speed": check.check_speed,
        }
        for name in options.checks:
            steps[name]()
    results.print_tables()
    return int(results.failed)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make gpu-check", description="Check training on a GPU.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--scale", choices=tuple(SCALES), default="full", help="size of the data")
    parser.add_argument("--movielens", type=Path, metavar="FILE", help="ratings.dat of MovieLens-1M")
    parser.add_argument("--kinds", nargs="+", choices=tuple(NETWORKS), default=KINDS)
    parser.add_argument("--checks", nargs="+", choices=CHECKS, default=CHECKS)
    parser.add_argument("--minutes", type=float, default=8.0, help="time of the check")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
