"""Arguments of the quick answers: words, settings, and the form of the output."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from recsys_spark.config.load import load_config
from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import ConfigError, RecsysError
from recsys_spark.core.libraries import explain_missing_libraries

__all__ = ["Question", "answer", "default_root", "load_with_default_root"]

# The root of conf/local.yaml, which `make run` uses.
DEFAULT_ROOT = Path("data/tables")
OPTIONS = """
  --top N               number of rows (default 10)
  --json                one JSON object a line
  --config FILE         YAML file of settings, as for jobs
  --section.key VALUE   a setting, as for jobs; tables.root and files.root are the usual ones
Without tables.root and tables.schema, data/tables of the working directory is read, if it exists.
Exit codes: 0 answered, 2 usage or an ambiguous name, 4 no such item, user, table or serving model."""


@dataclass(frozen=True)
class Question:
    """Words of a question, number of rows, form of the output, and the configuration."""

    words: tuple[str, ...]
    top: int
    as_json: bool
    config: BaseConfig

    @property
    def root(self) -> str:
        """Return tables.root; ConfigError for tables in a catalog, which Spark alone can read."""
        if self.config.tables.root is None:
            raise ConfigError(
                "tables in a catalog (tables.schema) are read by Spark alone: query its views current_*, or set"
                " tables.root to the folder of the tables"
            )
        return self.config.tables.root


def answer(usage: str, arguments: Sequence[str], print_answer: Callable[[Question], None]) -> int:
    """Answer a question and return the exit code; errors are lines on stderr."""
    name = usage.split()[2]
    if {"--help", "-h"} & set(arguments):
        print(f"{usage}{OPTIONS}")
        return 0
    try:
        with explain_missing_libraries():
            question = _parse(usage, arguments)
            print_answer(question)
    except RecsysError as error:
        for line in str(error).splitlines():
            print(f"{name}: {line}", file=sys.stderr)
        return error.exit_code
    return 0


def default_root() -> str | None:
    """Return the root that is used where none is configured, or None."""
    return str(DEFAULT_ROOT.absolute()) if DEFAULT_ROOT.is_dir() else None


def load_with_default_root(flags: Sequence[str]) -> BaseConfig:
    """Load the configuration as a job does, with the default root; its use is stated on stderr."""
    root = default_root()
    config = load_config(flags, defaults={} if root is None else {"tables.root": root})
    if config.tables.root == root is not None:
        print(f"tables.root is not set: reading {DEFAULT_ROOT}", file=sys.stderr)
    return config


def _parse(usage: str, arguments: Sequence[str]) -> Question:
    words: list[str] = []
    flags: list[str] = []
    top, as_json, rest = "10", False, list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            words += rest
            break
        if word == "--json":
            as_json = True
        elif not word.startswith("--"):
            words.append(word)
        elif "=" in word or not rest:
            flags.append(word)
        elif word == "--top":
            top = rest.pop(0)
        else:
            flags += [word, rest.pop(0)]
    if not words or not all(word.strip() for word in words):
        raise ConfigError(f"nothing is asked for: {usage.splitlines()[0]}")
    if not top.isdecimal() or not int(top):
        raise ConfigError(f"--top: expected a number of rows, 1 or more, got {top!r}")
    return Question(tuple(words), int(top), as_json, load_with_default_root(flags))
