"""Measure this package against reference programs; print one JSON line a measure."""

import contextlib
import json
import shutil
import sys
from pathlib import Path

from rich.console import Console

from recsys_spark.core.logs import step
from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """Leaves nothing behind but its lines, and their table where benchmark.results names a folder: the files that it
    needs lie below files.root while it runs.
    """
    from recsys_spark.benchmark.kept_lines import keep
    from recsys_spark.benchmark.measure import Bench
    from recsys_spark.benchmark.measures import MEASURES, chosen_measures, table_of
    from recsys_spark.training.distributed import threads_of

    config = run.config
    settings, measures, lines = config.benchmark, chosen_measures(config.benchmark.measures), []
    parent = Path(config.files_root) / "benchmark"
    folder = parent / run.report.run_id
    threads = threads_of(config.training)
    bench = Bench(run.spark, folder, settings.scale, settings.repeats, config.run.seed, threads, settings.peers)
    try:
        for name, measure in measures.items():
            # Processes that train write to stdout, which belongs to the lines.
            with step(f"measure {name}"), contextlib.redirect_stdout(sys.stderr):
                lines.append(measure(bench))
            if settings.results is not None:
                run.report.outputs["table"] = str(keep(lines[-1], Path(settings.results), list(MEASURES)))
            print(json.dumps(lines[-1].as_dict()), flush=True)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        # Another run's files may lie there.
        with contextlib.suppress(OSError):
            parent.rmdir()
    run.count(measures=len(lines), goals_met=sum(line.is_met for line in lines))
    Console(stderr=True).print(table_of(lines))


job = Job(
    "benchmark",
    __doc__ or "",
    work,
    reads=(),
    writes=("results folder",),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
