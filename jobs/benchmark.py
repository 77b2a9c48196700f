"""Measure this package against reference programs; print one JSON line a measure."""

import contextlib
import json
import shutil
import sys
from pathlib import Path

from rich.console import Console

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.logs import step
from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """Run the measures and print a line for each.

    Temporary files lie below files.root and are deleted. If benchmark.results names a folder, lines and a table stay
    there.
    """
    from recsys_spark.benchmark.comparison import Bench
    from recsys_spark.benchmark.registry import MEASURES, chosen_measures, results_table
    from recsys_spark.benchmark.result_files import save_comparison
    from recsys_spark.training.distributed import threads_per_process

    config = run.config
    settings, measures, results = config.benchmark, chosen_measures(config.benchmark.measures), []
    parent = Path(config.files_root) / "benchmark"
    folder = parent / run.report.run_id
    threads = threads_per_process(config.training)
    bench = Bench(run.spark, folder, settings.scale, settings.repeats, config.run.seed, threads, settings.peers)
    try:
        for name, measure in measures.items():
            # Training processes write to stdout, which is reserved for JSON lines.
            with step(f"measuring {name}"), contextlib.redirect_stdout(sys.stderr):
                results.append(measure(bench))
            if settings.results is not None:
                run.report.outputs["table"] = str(save_comparison(results[-1], Path(settings.results), list(MEASURES)))
            print(json.dumps(results[-1].as_dict()), flush=True)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        # The folder is not empty while another run has files in it.
        with contextlib.suppress(OSError):
            parent.rmdir()
    run.count(measures=len(results), goals_met=sum(result.is_met for result in results))
    Console(stderr=True).print(results_table(results))


def check_measures(config: BaseConfig) -> None:
    """Raise ConfigError for unknown names of measures."""
    from recsys_spark.benchmark.registry import chosen_measures

    chosen_measures(config.benchmark.measures)


job = Job(
    "benchmark",
    __doc__ or "",
    work,
    reads=(),
    writes=("results folder",),
    settings=("benchmark", "training"),
    checks=(check_measures,),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
