"""The command `recsys`: jobs, quick answers from the tables, and checks of the environment."""

import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from difflib import get_close_matches

from recsys_spark.core.names import load_named
from recsys_spark.interface.registry import all_jobs, command_name, find_job, job_names
from recsys_spark.runtime.job import exit_with

__all__ = ["COMMANDS", "entry_point", "main"]

# Command -> its function and summary. A command loads only the modules that it uses.
COMMANDS = {
    "similar": ("recsys_spark.interface.similar:main", "Print the items nearest to an item, from the serving model."),
    "recommend": (
        "recsys_spark.interface.recommend:main",
        "Print the recommendations of a user, from the serving model.",
    ),
    "gender": ("recsys_spark.interface.gender:main", "Predict the gender of a listener of some titles."),
    "doctor": ("recsys_spark.interface.doctor:main", "Check the environment and the roots; name remedies."),
    "completion": ("recsys_spark.interface.completion:main", "Print a completion script for bash, zsh or fish."),
}
WIDTH = 100


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; without a command all are listed."""
    name, *arguments = [*(sys.argv[1:] if argv is None else argv)] or ["--help"]
    if name in ("--help", "-h"):
        _print_commands()
        return 0
    if name in COMMANDS:
        command: Callable[[Sequence[str]], int] = load_named(COMMANDS[name][0])
        return command(arguments)
    # Names of jobs are accepted as they are in files and tables as well.
    job = name.replace("-", "_")
    if job in job_names():
        return find_job(job).main(arguments)
    names = [*COMMANDS, *map(command_name, job_names())]
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    remedy = (
        f"the nearest names are {', '.join(map(repr, near))}" if near else "recsys without arguments lists all commands"
    )
    print(f"recsys: there is no command {name!r}: {remedy}", file=sys.stderr)
    return 2


def entry_point() -> None:
    """Run a command and exit, for the console script."""
    try:
        code = main()
        sys.stdout.flush()
        exit_with(code)
    except BrokenPipeError:
        # The reader has ended, as in `recsys similar ... | head`; the interpreter would flush stdout again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _print_commands() -> None:
    print("usage: recsys COMMAND [ARGUMENT]...   (recsys COMMAND --help describes a command)")
    _print_rows("quick answers and tools", [(name, summary) for name, (_, summary) in COMMANDS.items()])
    _print_rows("jobs", [(command_name(job.name), job.summary) for job in all_jobs()])


def _print_rows(title: str, rows: Sequence[tuple[str, str]]) -> None:
    print(f"\n{title}")
    for name, summary in rows:
        print(f"  {name:<22} {textwrap.shorten(summary, WIDTH - 25, placeholder=' …')}")
