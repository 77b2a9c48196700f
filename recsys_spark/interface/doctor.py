"""`recsys doctor`: checks of the environment and the roots, with a remedy for each finding."""

import sys
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from recsys_spark.config.load import load_config
from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import ConfigError
from recsys_spark.interface.checks import (
    Check,
    check_class_archive,
    check_delta_jars,
    check_disk,
    check_gpu,
    check_java,
    check_libraries,
    check_mlflow,
    check_petastorm,
    check_python,
    check_roots,
    check_spark_libraries,
    check_spark_start,
    check_torch,
    failed,
    ok,
)
from recsys_spark.interface.question import load_with_default_root

__all__ = ["main"]

USAGE = """usage: recsys doctor [--no-spark] [--config FILE]... [--section.key VALUE]...

Check Python, Java, libraries, Delta jars, GPU, disks and the roots of the configuration, and start Spark.
  --no-spark   do not start Spark
Exit codes: 0 all that is needed is there, 2 a check failed; a warning concerns a part that some jobs need."""
COLOURS = {"ok": "green", "warning": "yellow", "failed": "bold red"}


def main(arguments: Sequence[str]) -> int:
    """Run all checks, print a line for each and return the exit code."""
    if {"--help", "-h"} & set(arguments):
        print(USAGE)
        return 0
    flags = [word for word in arguments if word != "--no-spark"]
    checks = []
    for check in _checks(flags, starts_spark="--no-spark" not in arguments):
        checks.append(check)
        if not sys.stdout.isatty():
            _print_line(check)
    if sys.stdout.isatty():
        _print_table(checks)
    return ConfigError.exit_code if any(check.state == "failed" for check in checks) else 0


def _checks(flags: Sequence[str], *, starts_spark: bool) -> Iterator[Check]:
    yield check_python()
    yield check_libraries()
    spark = check_spark_libraries()
    yield spark
    java = check_java()
    yield java
    jars = check_delta_jars()
    yield jars
    yield check_class_archive()
    yield check_torch()
    yield check_petastorm()
    yield check_gpu()
    config, finding = _configuration(flags)
    yield finding
    yield from check_mlflow(config)
    yield from check_disk(config)
    yield from check_roots(config)
    if starts_spark and all(check.state == "ok" for check in (spark, java, jars)):
        yield check_spark_start(config or load_config(["--tables.root", "data/tables"], {}))


def _configuration(flags: Sequence[str]) -> tuple[BaseConfig | None, Check]:
    try:
        config = load_with_default_root(flags)
    except ConfigError as error:
        if not flags and error.problems[0].startswith("neither tables.root"):
            return None, ok("configuration", "no root is configured: name one by --tables.root or --config")
        return None, failed(
            "configuration", "; ".join(error.problems), "correct the settings; --help of a job lists them"
        )
    return config, ok("configuration", f"tables at {config.tables.root or config.tables.schema_name}")


def _print_line(check: Check) -> None:
    remedy = f": {check.remedy}" if check.remedy else ""
    print(f"{check.state:<8} {check.name:<14} {check.found}{remedy}", flush=True)


def _print_table(checks: Sequence[Check]) -> None:
    table = Table("", "check", "found", "remedy")
    for check in checks:
        table.add_row(check.state, check.name, check.found, check.remedy, style=COLOURS[check.state])
    Console(markup=False, highlight=False).print(table)
