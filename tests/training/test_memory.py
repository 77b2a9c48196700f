"""Memory of networks in training: counts by hand, and a refusal before the first step."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from pyspark.sql import SparkSession

from recsys_spark.config.training import TrainingSettings
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.names import NETWORKS
from recsys_spark.networks.network import Shape, load_network
from recsys_spark.training.distributed import run_training
from recsys_spark.training.memory import training_bytes
from tests.networks.batches import TINY, make_network
from tests.training.runs import make_spec
from tests.training.shard_folders import planted_tastes


@pytest.mark.parametrize(
    ("kind", "changes", "copies", "weights"),
    [
        # First layer and bias, user vectors, output layer and biases; with Adam and an average.
        ("cdae", {"units": 3, "average": 0.9}, 5, 7 * 3 + 3 + 10 * 3 + 7 * 3 + 7),
        ("cdae", {"units": 3, "average": 0.0}, 4, 7 * 3 + 3 + 10 * 3 + 7 * 3 + 7),
        # Vectors and biases of users and items, and the offset.
        ("matrix_factorization", {"rank": 2, "average": 0.0, "optimizer": "sgd"}, 3, 10 * 3 + 7 * 3 + 1),
    ],
)
def test_every_weight_counts_with_its_copies(kind: str, changes: dict[str, Any], copies: int, weights: int) -> None:
    assert training_bytes(make_network(kind, Shape(10, 7), **changes)) == 4 * copies * weights


@pytest.mark.parametrize(
    ("kind", "array"), [("cdae", r"row_vectors\.weight of 40 x 6"), ("matrix_factorization", r"user_vectors of 40 x 6")]
)
def test_a_network_above_the_limit_is_refused_before_training(kind: str, array: str, tmp_path: Path) -> None:
    width = load_network(kind).width_setting
    tastes = planted_tastes(ratings=True)
    spec = make_spec(tmp_path, kind, tastes, {width: 6, "epochs": 1})
    settings = TrainingSettings.model_validate({"max_network_bytes": 1000, "threads": 1})
    message = (
        rf"{kind} with 40 rows and 24 columns needs [\d,]+ bytes .* {array}, .*lower models\.{kind}\.{width}, raise "
    )
    with pytest.raises(ConfigError, match=message):
        run_training(cast(SparkSession, None), spec, settings)
    assert not list(Path(spec.folder).iterdir())
    run_training(cast(SparkSession, None), spec, TrainingSettings.model_validate({"threads": 1}))
    assert (Path(spec.folder) / "network.json").exists()


def test_ten_million_users_do_not_fit_and_a_million_do() -> None:
    limit, kind = TrainingSettings.model_validate({}).max_network_bytes, load_network("cdae")
    with torch.device("meta"):
        needed = [training_bytes(kind(kind.Settings(), Shape(n, 50_000))) for n in (1_000_000, 10_000_000)]
    assert needed[0] < limit < needed[1]


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_named_setting_makes_a_network_narrower(kind: str) -> None:
    name = load_network(kind).width_setting
    value = TINY[kind][name]
    narrower: Any = tuple(width - 1 for width in value) if isinstance(value, tuple) else value - 1
    changes: list[dict[str, Any]] = [{name: value}, {name: narrower}]
    wide, narrow = (make_network(kind, Shape(10, 7), **change) for change in changes)
    assert training_bytes(narrow) < training_bytes(wide)
