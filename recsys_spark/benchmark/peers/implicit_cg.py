"""Seconds of one pass of the conjugate gradient of the `implicit` package, and its factors.

Arguments: .npz file of a CSR matrix (users, items) of weights, rank, passes, regularisation, threads, .npz file of the
factors. The confidence of a pair is 1 plus its weight.
"""

import json
import sys

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse

__all__ = ["main"]


def main() -> None:
    """Time the passes after the first one, write the factors, and print the seconds."""
    rank, passes, threads = int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[5])
    matrix = sparse.load_npz(sys.argv[1]).astype("float32")
    matrix.data += 1
    times: list[float] = []
    model = AlternatingLeastSquares(
        rank,
        regularization=float(sys.argv[4]),
        iterations=passes,
        use_cg=True,
        num_threads=threads,
        random_state=1,
    )
    model.fit(matrix, show_progress=False, callback=lambda _pass, elapsed, _loss: times.append(elapsed))
    np.savez(sys.argv[6], users=model.user_factors, items=model.item_factors)
    print(json.dumps({"seconds": sum(times[1:]) / (passes - 1)}))


if __name__ == "__main__":
    main()
