"""Train and evaluate published models on public data sets, beside their published results."""

import json
import logging
from dataclasses import asdict

from recsys_spark.core.errors import ConfigError
from recsys_spark.core.logs import table_console
from recsys_spark.core.paths import local_path
from recsys_spark.runtime.job import Job, JobRun

log = logging.getLogger("recsys_spark.reproduce")


def work(run: JobRun) -> None:
    """Run the repeats that have no result yet, and write the table to results.md.

    Each finished repeat is a line of results.jsonl, so that an interrupted job continues where it stopped.
    """
    from recsys_spark.reproduction.datasets import find_datasets
    from recsys_spark.reproduction.entries import ENTRIES
    from recsys_spark.reproduction.results import Results, key_of, markdown, table_rows, terminal_table
    from recsys_spark.reproduction.runner import prepare_dataset, run_repeat

    settings, root = run.config.reproduce, local_path(run.config.tables.root or "")
    if run.config.tables.root is None or root is None:
        raise ConfigError("reproduce keeps its results in a local folder: set tables.root to a local path")
    datasets, results = find_datasets(settings.data), Results(root / "results.jsonl")
    entries = [
        entry for entry in ENTRIES if entry.data in datasets and (not settings.kinds or entry.kind in settings.kinds)
    ]
    pending = [
        (entry, n) for entry in entries for n in range(1, entry.repeats + 1) if not results.get(key_of(entry, n))
    ]
    log.info(
        "%d repeats of %d entries to run on the data sets %s", len(pending), len(entries), ", ".join(sorted(datasets))
    )
    for dataset in [datasets[name] for name in dict.fromkeys(entry.data for entry, _ in pending)]:
        prepare_dataset(run, dataset)
    for number, (entry, repeat) in enumerate(pending, start=1):
        result = run_repeat(run, entry, repeat, datasets[entry.data])
        results.add(result)
        print(json.dumps(asdict(result), sort_keys=True), flush=True)
        log.info("repeat %d of %d done", number, len(pending))
    rows = list(table_rows(entries, results))
    (root / "results.md").write_text(markdown(rows), encoding="utf-8")
    table_console(200).print(terminal_table(rows))
    run.count(repeats_run=len(pending), rows=len(rows))


job = Job(
    "reproduce",
    __doc__ or "",
    work,
    reads=("data sets",),
    writes=("results.jsonl", "results.md"),
    settings=("reproduce", "training", "shards", "outputs"),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
