"""Seconds of one pass of ALS of the `implicit` package, with both of its solvers.

Arguments: .npz file of a CSR matrix (users, items), rank, passes, regularisation, threads.
"""

import json
import sys

from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse

__all__ = ["main"]


def main() -> None:
    """Time each solver, without its first pass, and print the seconds as JSON."""
    rank, passes, threads = int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[5])
    matrix = sparse.load_npz(sys.argv[1]).astype("float32")
    seconds = {}
    for name, use_cg in (("exact", False), ("conjugate_gradient", True)):
        times: list[float] = []
        model = AlternatingLeastSquares(
            rank,
            regularization=float(sys.argv[4]),
            iterations=passes + 1,
            use_cg=use_cg,
            num_threads=threads,
            random_state=1,
        )
        model.fit(matrix, show_progress=False, callback=lambda _pass, elapsed, _loss, kept=times: kept.append(elapsed))
        seconds[name] = sum(times[1:]) / passes
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
