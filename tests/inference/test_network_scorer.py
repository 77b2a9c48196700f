"""Users that a network can score, and the plays that it uses."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from recsys_spark.inference import network_scorer
from recsys_spark.inference.network_scorer import NetworkScorer
from recsys_spark.networks.network import Shape
from recsys_spark.ranking.scorer import Histories, UserBlock
from tests.matrices import MakeMatrix
from tests.networks.batches import make_network

NAN = float("nan")
N_ITEMS = 6


@pytest.mark.parametrize("kind", ["matrix_factorization", "autorec_user", "deeprec"])
def test_plays_without_a_rating_are_ignored(
    kind: str, monkeypatch: pytest.MonkeyPatch, make_matrix: MakeMatrix
) -> None:
    """Such pairs have no entry, as in training: they are not ratings of zero."""
    network = make_network(kind, Shape(4, N_ITEMS))
    network.set_column_counts(torch.ones(N_ITEMS, dtype=torch.int64))
    monkeypatch.setattr(network_scorer, "cached_network", lambda _: SimpleNamespace(network=network))
    histories = [[(0, 5.0), (1, 2.0)], [(0, 5.0), (3, NAN), (1, 2.0), (4, NAN)], [(2, NAN), (5, NAN)]]
    flat = [entry for history in histories for entry in history]
    items, ratings = zip(*flat, strict=True)
    block = UserBlock(
        None,
        Histories(np.cumsum([0, *map(len, histories)]), np.array(items, np.int32), np.array(ratings, np.float32)),
    )
    rows, codes = NetworkScorer("", make_matrix(np.zeros((N_ITEMS, 3)))).vectors(block)
    assert rows.tolist() == [0, 1], "the third user has no rating"
    np.testing.assert_allclose(codes[0], codes[1], rtol=1e-6)
