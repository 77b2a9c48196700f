"""Write a report on the tables as one HTML file that opens without a network."""

from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """Read bounded summaries of the tables, and write the page."""
    from recsys_spark.report.tables_report import build_report, report_path, write_report

    path = report_path(run.config)
    report = build_report(run.tables, run.config, path)
    run.count(
        bytes=write_report(path, report),
        figures=sum(len(section.figures) for section in report.sections),
        warnings=len(report.warnings),
    )
    run.report.outputs["report"] = str(path)
    print(f"report: {path}")


job = Job(
    "build_report",
    __doc__ or "",
    work,
    reads=(
        "plays",
        "plays_quarantine",
        "ingested_files",
        "items",
        "user_index",
        "item_index",
        "interactions",
        "models",
        "item_similarity",
        "recommendations",
        "gender_predictions",
        "evaluations",
        "job_runs",
    ),
    writes=("HTML file",),
    settings=("report",),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
