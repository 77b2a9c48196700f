"""The measures that there are, and a table of what they gave."""

from collections.abc import Callable, Iterator, Sequence

from rich.table import Table

from recsys_spark.benchmark.als_measures import als_job
from recsys_spark.benchmark.ease_measure import ease
from recsys_spark.benchmark.factorization_measure import epoch_matrix_factorization
from recsys_spark.benchmark.gender_measures import gender_prediction, gender_training
from recsys_spark.benchmark.ingestion_measures import ingestion, ingestion_again
from recsys_spark.benchmark.judging_measures import judging, ranking_metrics
from recsys_spark.benchmark.list_measures import item_similarity_lists, recommendations
from recsys_spark.benchmark.lsa_measure import lsa
from recsys_spark.benchmark.measure import Bench, Line
from recsys_spark.benchmark.network_measures import epoch_svae, first_layer_3700, first_layer_100000
from recsys_spark.benchmark.peer_measures import als_pass, small_data
from recsys_spark.benchmark.scaling_measure import row_scaling
from recsys_spark.benchmark.shard_measures import shard_loading
from recsys_spark.benchmark.training_measures import epoch_mult_vae, two_processes
from recsys_spark.core.errors import ConfigError

__all__ = ["MEASURES", "chosen_measures", "table_of"]

Measure = Callable[[Bench], Line]

MEASURES: dict[str, Measure] = {
    "ingestion": ingestion,
    "ingestion_again": ingestion_again,
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
    "lsa": lsa,
    "item_similarity": item_similarity_lists,
    "recommendations": recommendations,
    "small_data": small_data,
    "judging": judging,
    "ranking_metrics": ranking_metrics,
    "gender_prediction": gender_prediction,
    "gender_training": gender_training,
}


def chosen_measures(names: Sequence[str]) -> dict[str, Measure]:
    """The measures of these names, in their order; without names, all. Raises ConfigError for others."""
    problems = list(_unknown(names))
    if problems:
        raise ConfigError(*problems)
    return {name: MEASURES[name] for name in names or MEASURES}


def table_of(lines: Sequence[Line]) -> Table:
    """A row a line, for a person."""
    table = Table("measure", "ours", "reference", "ratio", "goal", "met")
    for line in lines:
        seconds = f"{line.reference_seconds:.3g} s ({line.reference})"
        met = ("yes" if line.is_met else "no") if line.goal else "-"
        table.add_row(line.measure, f"{line.ours_seconds:.3g} s", seconds, f"{line.ratio:.2f}", line.goal, met)
    return table


def _unknown(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name not in MEASURES:
            yield f"benchmark.measures: no measure {name!r}; there are {', '.join(MEASURES)}"
