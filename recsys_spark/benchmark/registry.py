"""Registry of measures, and the table of their results."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from rich.table import Table

from recsys_spark.benchmark.comparison import Bench, Comparison
from recsys_spark.benchmark.ease_measures import ease
from recsys_spark.benchmark.evaluation_measures import full_ranking, ranking_metrics
from recsys_spark.benchmark.factorization_measures import epoch_matrix_factorization
from recsys_spark.benchmark.file_measures import small_files
from recsys_spark.benchmark.gender_measures import gender_prediction, gender_training
from recsys_spark.benchmark.job_measures import als_job, ingestion, ingestion_again, row_scaling
from recsys_spark.benchmark.kernel_measures import list_kernel
from recsys_spark.benchmark.list_measures import item_similarity_lists, recommendations
from recsys_spark.benchmark.lsa_measures import lsa
from recsys_spark.benchmark.network_measures import epoch_svae, first_layer_3700, first_layer_100000
from recsys_spark.benchmark.peer_measures import als_pass, small_data
from recsys_spark.benchmark.shard_measures import shard_loading
from recsys_spark.benchmark.solver_measures import als_mllib, als_solver
from recsys_spark.benchmark.training_measures import epoch_mult_vae, two_processes
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.names import nearest_name

__all__ = ["MEASURES", "chosen_measures", "results_table"]

Measure = Callable[[Bench], Comparison]

MEASURES: dict[str, Measure] = {
    "ingestion": ingestion,
    "ingestion_again": ingestion_again,
    "small_files": small_files,
    "row_scaling": row_scaling,
    "shard_loading": shard_loading,
    "epoch_mult_vae": epoch_mult_vae,
    "epoch_matrix_factorization": epoch_matrix_factorization,
    "first_layer_3700": first_layer_3700,
    "first_layer_100000": first_layer_100000,
    "two_processes": two_processes,
    "epoch_svae": epoch_svae,
    "ease": ease,
    "als_job": als_job,
    "als_pass": als_pass,
    **{f"als_solver_{rank}": partial(als_solver, rank) for rank in (64, 128, 256)},
    **{f"als_mllib_{rank}": partial(als_mllib, rank) for rank in (64, 128, 256)},
    "lsa": lsa,
    "item_similarity": item_similarity_lists,
    "recommendations": recommendations,
    "list_kernel_20": partial(list_kernel, 20),
    "list_kernel_100": partial(list_kernel, 100),
    "small_data": small_data,
    "judging": full_ranking,
    "ranking_metrics": ranking_metrics,
    "gender_prediction": gender_prediction,
    "gender_training": gender_training,
}


def chosen_measures(names: Sequence[str]) -> dict[str, Measure]:
    """Return the measures of these names, in this order, or all measures without names.

    Raises ConfigError for unknown names.
    """
    problems = list(_unknown_names(names))
    if problems:
        raise ConfigError(*problems)
    return {name: MEASURES[name] for name in names or MEASURES}


def results_table(comparisons: Sequence[Comparison]) -> Table:
    """Return a terminal table with one row a measure."""
    table = Table("measure", "ours", "reference", "ratio", "goal", "met")
    for comparison in comparisons:
        seconds = f"{comparison.reference_seconds:.3g} s ({comparison.reference})"
        met = ("yes" if comparison.is_met else "no") if comparison.goal else "-"
        table.add_row(
            comparison.measure,
            f"{comparison.ours_seconds:.3g} s",
            seconds,
            f"{comparison.ratio:.2f}",
            comparison.goal,
            met,
        )
    return table


def _unknown_names(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name not in MEASURES:
            near = nearest_name(name, MEASURES)
            yield f"benchmark.measures: {name!r} is not a measure; the measures are {', '.join(MEASURES)}{near}"
