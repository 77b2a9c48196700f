"""Batches and tiny settings shared by tests of several networks."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Network, Shape, load_network

__all__ = ["TINY", "N", "checkerboard", "make_network", "reordered", "rows_of"]

N = 12

# Settings that give each kind a few hundred weights.
TINY: dict[str, dict[str, Any]] = {
    "song_autoencoder": {"units": 4},
    "autorec_item": {"units": 4},
    "autorec_user": {"units": 4},
    "deeprec": {"layers": (4, 3)},
    "cdae": {"units": 4},
    "mult_vae": {"hidden": 6, "latent": 3},
    "matrix_factorization": {"rank": 3},
    "implicit_factorization": {"rank": 3},
    "neural_encoder": {"embedding": 3, "units": 5},
    "svae": {"embedding": 5, "recurrent": 4, "hidden": 4, "latent": 3},
}


def make_network(kind: str, shape: Shape, seed: int = 0, **changes: Any) -> Network:
    """Build a tiny network of a kind, with weights of a seed."""
    torch.manual_seed(seed)
    network = load_network(kind)
    return network(network.Settings.model_validate(TINY[kind] | changes), shape)


def checkerboard() -> Batch:
    """Build a batch whose even rows have the even columns, odd rows the odd ones; the diagonal is withheld."""
    rows, columns = np.nonzero([[i % 2 == j % 2 and i != j for j in range(N)] for i in range(N)])
    indptr = np.searchsorted(rows, np.arange(N + 1))
    return Batch.from_arrays(np.arange(N), indptr, columns, np.ones(len(columns)), N)


def reordered(batch: Batch) -> Batch:
    """Return the batch with the entries of each row in reverse order."""
    order = torch.cat([torch.arange(end - 1, begin - 1, -1) for begin, end in batch.indptr.unfold(0, 2, 1)])
    return replace(batch, indices=batch.indices[order], values=batch.values[order])


def rows_of(histories: Sequence[Sequence[int]], n_columns: int, first: int = 0) -> Batch:
    """Build a batch of histories, with rows numbered from `first` and all values one."""
    indptr = np.cumsum([0, *map(len, histories)])
    indices = np.array([column for history in histories for column in history], dtype=np.int64)
    return Batch.from_arrays(
        np.arange(first, first + len(histories)), indptr, indices, np.ones(len(indices)), n_columns
    )
