"""Evaluation inputs: one row a user with the pairs and vectors that each model needs."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.preparation.held_out_pairs import INPUT, TARGET
from recsys_spark.preparation.sparse_rows import history_order
from recsys_spark.recommend.recommendations import or_empty
from recsys_spark.recommend.trained_model import TrainedModel

__all__ = ["EvaluatedModel", "build_evaluation_inputs"]


@dataclass(frozen=True)
class EvaluatedModel:
    """A version to evaluate; `user_vectors` (user_idx, vector) is None where it stores none."""

    trained: TrainedModel
    user_vectors: DataFrame | None

    @property
    def version(self) -> str:
        """Return the name of the version."""
        return self.trained.version.version

    @property
    def trained_on_validation(self) -> bool:
        """Return True if the training pairs included the validation part.

        Such a model receives the validation pairs of the evaluated users as input.
        """
        return self.trained.version.fit == "train_and_validation"

    @property
    def algorithm(self) -> str:
        """Return the kind of the model."""
        return self.trained.version.kind


def build_evaluation_inputs(pairs: DataFrame, models: Sequence[EvaluatedModel]) -> DataFrame:
    """Build one row a user with the inputs of every model, from evaluation_pairs.

    Columns: user_idx INT, role ARRAY<INT>, item_idx ARRAY<INT>, rating ARRAY<DOUBLE>, time ARRAY<BIGINT>, tie
    ARRAY<BIGINT> (orders equal times), and for each model n: confidence_n ARRAY<FLOAT>, vector_n ARRAY<FLOAT>.

    The arrays of a user are parallel and ordered by role, then item. A confidence is null where the model does not
    receive the pair; a vector is empty where the model has none of the user. The whole history of a user has to fit
    into a task's memory.
    """
    inputs = pairs.where(F.col("role") != TARGET)
    for number, model in enumerate(models):
        weighted = model.trained.kind.with_confidence(inputs, model.trained.folder)
        is_given = F.lit(model.trained_on_validation) | (F.col("role") == INPUT)
        inputs = weighted.withColumn(f"confidence_{number}", F.when(is_given, F.col("confidence"))).drop("confidence")
    confidences = [f"confidence_{number}" for number in range(len(models))]
    targets = pairs.where(F.col("role") == TARGET).withColumns(
        {name: F.lit(None).cast("float") for name in confidences}
    )
    time, tie = history_order("time")
    pair = F.struct("role", "item_idx", "rating", F.unix_micros(time).alias("time"), tie, *confidences)
    users = inputs.unionByName(targets).groupBy("user_idx").agg(F.sort_array(F.collect_list(pair)).alias("pairs"))
    columns = ["role", "item_idx", "rating", "time", "tie", *confidences]
    users = users.select("user_idx", *[F.col(f"pairs.{name}").alias(name) for name in columns])
    vectors = _join_vectors(models)
    if vectors is not None:
        users = users.join(vectors, on="user_idx", how="left")
    stored = {f"vector_{n}": model.user_vectors for n, model in enumerate(models)}
    lists = {name: F.lit(None) if rows is None else F.col(name) for name, rows in stored.items()}
    return users.withColumns({name: or_empty(column, "float") for name, column in lists.items()})


def _join_vectors(models: Sequence[EvaluatedModel]) -> DataFrame | None:
    """Return (user_idx, vector_n of each model that stores vectors), joined by one shuffle.

    Returns None if no model stores vectors.
    """
    parts, names = [], []
    for number, model in enumerate(models):
        if model.user_vectors is not None:
            parts.append(model.user_vectors.select("user_idx", "vector", F.lit(number).alias("number")))
            names.append(number)
    if not parts:
        return None
    together = parts[0]
    for part in parts[1:]:
        together = together.unionByName(part)
    of_number = {n: F.first(F.when(F.col("number") == n, F.col("vector")), ignorenulls=True) for n in names}
    return together.groupBy("user_idx").agg(*[column.alias(f"vector_{n}") for n, column in of_number.items()])
