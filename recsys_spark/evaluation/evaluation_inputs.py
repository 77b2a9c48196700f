"""The users that models are judged on, one row each, with what every model is to be given of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.preparation.held_out_pairs import FED, FOUND
from recsys_spark.preparation.sparse_rows import history_order
from recsys_spark.recommend.recommendations import or_empty
from recsys_spark.recommend.trained_model import TrainedModel

__all__ = ["EvaluatedModel", "build_evaluation_inputs"]


@dataclass(frozen=True)
class EvaluatedModel:
    """A version to be judged; `user_vectors` (user_idx, vector), None where it stores none."""

    stored: TrainedModel
    user_vectors: DataFrame | None

    @property
    def version(self) -> str:
        """Its name."""
        return self.stored.version.version

    @property
    def trained_on_validation(self) -> bool:
        """Whether it was trained on the validation pairs as well: then it is given them of those it is judged on."""
        return self.stored.version.fit == "train_and_validation"

    @property
    def algorithm(self) -> str:
        """Its kind."""
        return self.stored.version.kind


def build_evaluation_inputs(pairs: DataFrame, candidates: Sequence[EvaluatedModel]) -> DataFrame:
    """(user_idx INT, role ARRAY<INT>, item_idx ARRAY<INT>, rating ARRAY<DOUBLE>, time ARRAY<BIGINT>, and of each
    candidate n: confidence_n ARRAY<FLOAT>, vector_n ARRAY<FLOAT>) from judged_pairs; also tie ARRAY<BIGINT>, which
    orders equal times.

    The arrays of a user are parallel and ordered by role, then item. A confidence is null where the model is not fed
    the pair, a vector empty where the model has none of the user. A user's whole history has to fit into a task.
    """
    fed = pairs.where(F.col("role") != FOUND)
    for number, candidate in enumerate(candidates):
        weighted = candidate.stored.kind.with_confidence(fed, candidate.stored.folder)
        is_given = F.lit(candidate.trained_on_validation) | (F.col("role") == FED)
        fed = weighted.withColumn(f"confidence_{number}", F.when(is_given, F.col("confidence"))).drop("confidence")
    confidences = [f"confidence_{number}" for number in range(len(candidates))]
    others = pairs.where(F.col("role") == FOUND).withColumns({name: F.lit(None).cast("float") for name in confidences})
    time, tie = history_order("time")
    pair = F.struct("role", "item_idx", "rating", F.unix_micros(time).alias("time"), tie, *confidences)
    users = fed.unionByName(others).groupBy("user_idx").agg(F.sort_array(F.collect_list(pair)).alias("pairs"))
    columns = ["role", "item_idx", "rating", "time", "tie", *confidences]
    users = users.select("user_idx", *[F.col(f"pairs.{name}").alias(name) for name in columns])
    vectors = _vectors(candidates)
    if vectors is not None:
        users = users.join(vectors, on="user_idx", how="left")
    stored = {f"vector_{n}": candidate.user_vectors for n, candidate in enumerate(candidates)}
    lists = {name: F.lit(None) if rows is None else F.col(name) for name, rows in stored.items()}
    return users.withColumns({name: or_empty(column, "float") for name, column in lists.items()})


def _vectors(candidates: Sequence[EvaluatedModel]) -> DataFrame | None:
    """(user_idx, vector_n of each candidate that stores any): one shuffle for all of them."""
    parts, names = [], []
    for number, candidate in enumerate(candidates):
        if candidate.user_vectors is not None:
            parts.append(candidate.user_vectors.select("user_idx", "vector", F.lit(number).alias("number")))
            names.append(number)
    if not parts:
        return None
    together = parts[0]
    for part in parts[1:]:
        together = together.unionByName(part)
    of_number = {n: F.first(F.when(F.col("number") == n, F.col("vector")), ignorenulls=True) for n in names}
    return together.groupBy("user_idx").agg(*[column.alias(f"vector_{n}") for n, column in of_number.items()])
