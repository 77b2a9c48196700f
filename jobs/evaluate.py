"""Evaluate models trained on one split by every metric, with intervals."""

from recsys_spark.core.errors import ConfigError
from recsys_spark.core.logs import step
from recsys_spark.evaluation.evaluated_models import check_metrics, ensure_popularity, find_candidates, make_panel
from recsys_spark.evaluation.evaluation_inputs import judged_users
from recsys_spark.evaluation.judging import judge
from recsys_spark.evaluation.metric_values import figures
from recsys_spark.evaluation.records import JudgedOn, record_figures, show_figures
from recsys_spark.preparation.held_out_pairs import judged_pairs
from recsys_spark.preparation.training_pairs import split_rows, training_pairs
from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """All models are judged in one pass over the users, on the same users and the same draws."""
    if run.config.split.protocol is None:
        raise ConfigError("split.protocol is not set: name the split that the models were trained on")
    if run.config.model.fit != "train":
        raise ConfigError("model.fit is for training: evaluate judges what evaluation.models names")
    check_metrics(run.config.evaluation.metrics)
    pairs, part = training_pairs(run.tables, run.config), run.config.evaluation.part
    assert pairs.split_id is not None
    popularity = ensure_popularity(run, pairs)
    candidates = find_candidates(run, pairs.split_id, popularity)
    panel = make_panel(run, candidates, popularity, pairs.train)
    with step(f"judging {', '.join(c.version for c in candidates)} on the {part} part of {pairs.split_id}"):
        users = judged_users(judged_pairs(split_rows(run.tables, pairs.split_id), part), candidates)
        found = figures(judge(users, panel), panel)
    place = JudgedOn(run.config.split.protocol, pairs.split_id, part, run.config.run.seed)
    record_figures(run, found, {candidate.version: candidate.algorithm for candidate in candidates}, place)
    show_figures(found, candidates, panel)
    run.count(models=len(candidates), figures=len(found))


job = Job(
    "evaluate",
    __doc__ or "",
    work,
    reads=(
        "models",
        "user_vectors",
        "item_vectors",
        "splits",
        "interactions",
        "user_index",
        "item_index",
        "users",
        "items",
        "ingested_files",
        "plays",
    ),
    writes=("evaluations",),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
