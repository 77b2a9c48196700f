"""Settings of judging models: what is measured, compared, searched, let through to serve, and run again from papers."""

from typing import Literal

from pydantic import Field

from recsys_spark.config.source import Section

__all__ = ["CompareSettings", "EvaluationSettings", "PublishSettings", "ReproduceSettings", "SearchSettings"]


class EvaluationSettings(Section):
    models: tuple[str, ...] = Field(
        (), description="Kinds or versions to judge; none: of each kind the newest version trained on the split."
    )
    part: Literal["validation", "test"] = Field("test", description="The held-out part that models are judged on.")
    metrics: tuple[str, ...] = Field(
        (
            "ndcg@10",
            "recall@10",
            "precision@10",
            "hit_rate@10",
            "mrr@10",
            "average_precision@10",
            "ndcg@100",
            "recall@100",
            "recall_capped@100",
        ),
        min_length=1,
        description="Metrics of rankings, the first one sorts the table; ratings are judged by rmse and mae.",
    )
    list_length: int = Field(
        10, ge=1, le=10_000, description="Head of the lists that coverage, gini, novelty and popularity lift look at."
    )
    draws: int = Field(200, ge=0, le=2_000, description="Bootstrap draws of users behind the intervals; 0: none.")


class CompareSettings(Section):
    models: tuple[str, ...] = Field(
        ("als", "lsa"),
        description="Kinds (their newest version) or versions that compare_neighbours sets side by side.",
    )
    k: int = Field(10, ge=1, le=1_000, description="Neighbours of an item that are compared, the nearest ones.")
    attribute: str = Field(
        "genres",
        min_length=1,
        description="Attribute of items that neighbours should share; several values joined by |.",
    )
    min_users: int = Field(50, ge=1, description="Items with fewer users are not judged by that attribute.")


class SearchSettings(Section):
    trials: int = Field(20, ge=1, le=10_000, description="Settings to try, counted over all runs of one search.")


class PublishSettings(Section):
    rollback: bool = Field(False, description="Go back to the version that served before.")
    metric: str | None = Field(None, description="What the gate compares; unset: the metric that the kind declares.")
    tolerance: float = Field(
        0.01, ge=0, lt=1, description="Share by which a candidate may be worse than what serves, on the same split."
    )
    override: str | None = Field(
        None, min_length=1, description="Reason to publish a candidate that the gate refuses; it is recorded."
    )


class ReproduceSettings(Section):
    data: tuple[str, ...] = Field((), description="Folders of public data sets, or folders that hold such folders.")
    kinds: tuple[str, ...] = Field((), description="Only results of these kinds of models; none: all.")
