"""Settings of evaluation, comparison, search, publication and reproduction."""

from typing import Literal

from pydantic import Field

from recsys_spark.config.source import Section

__all__ = ["CompareSettings", "EvaluationSettings", "PublishSettings", "ReproduceSettings", "SearchSettings"]


class EvaluationSettings(Section):
    """Section `evaluation`."""

    models: tuple[str, ...] = Field(
        (), description="Kinds or versions to evaluate; empty: the newest version of each kind trained on the split."
    )
    part: Literal["validation", "test"] = Field("test", description="Held-out part to evaluate on.")
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
        description="Ranking metrics; the first one sorts the table. Rating models are evaluated by rmse and mae.",
    )
    list_length: int = Field(
        10, ge=1, le=10_000, description="List length for coverage, gini, novelty and popularity lift."
    )
    draws: int = Field(
        200, ge=0, le=2_000, description="Bootstrap samples of users for the confidence intervals; 0: no intervals."
    )


class CompareSettings(Section):
    """Section `compare`."""

    models: tuple[str, ...] = Field(
        ("als", "lsa"),
        description="Kinds (their newest version) or versions that compare_neighbours compares and evaluate_similarity"
        " evaluates.",
    )
    k: int = Field(10, ge=1, le=1_000, description="Nearest neighbours of each item to compare.")
    attribute: str = Field(
        "genres",
        min_length=1,
        description="Item attribute that neighbours should share; several values are joined by |.",
    )
    min_users: int = Field(50, ge=1, description="Items with fewer users are left out of the comparison by attribute.")


class SearchSettings(Section):
    """Section `search`."""

    trials: int = Field(20, ge=1, le=10_000, description="Number of trials, counted over all runs of one search.")


class PublishSettings(Section):
    """Section `publish`."""

    rollback: bool = Field(False, description="Publish the previously serving version again.")
    metric: str | None = Field(
        None, description="Metric of the quality gate; unset: the metric that the kind declares."
    )
    tolerance: float = Field(
        0.01,
        ge=0,
        lt=1,
        description="Share by which a candidate may be worse than the serving model on the same split.",
    )
    override: str | None = Field(
        None,
        min_length=1,
        description="Reason to publish a candidate that the quality gate rejects; the reason is recorded.",
    )


class ReproduceSettings(Section):
    """Section `reproduce`."""

    data: tuple[str, ...] = Field((), description="Folders of public data sets, or their parent folders.")
    kinds: tuple[str, ...] = Field((), description="Kinds of models to reproduce; empty: all.")
