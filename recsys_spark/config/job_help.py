"""The text of `JOB --help`: the settings of one job, on one screen."""

import os
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from pydantic.fields import FieldInfo

from recsys_spark.config.help import default_text, section_help, type_text
from recsys_spark.config.keys import ConfigKeys
from recsys_spark.core.errors import ConfigError

__all__ = ["COMMON_SECTIONS", "MAX_LINES", "WIDTH", "job_help", "print_help", "wants_help"]

WIDTH, MAX_LINES = 100, 60
# Width of flags; descriptions begin in the next column.
FLAG_WIDTH = 42
FLAGS = {"--help", "-h"}
# Settings of every job: those that most runs set, and their sections.
COMMON_KEYS = ("tables.root", "files.root", "run.seed")
COMMON_SECTIONS = ("tables", "files", "run", "spark")
CLOSING = """
  --config FILE     YAML file of settings; repeatable, later files win
  --help SECTION    full descriptions of a section, such as {example}, or of all
Flags win over environment variables (RECSYS_SECTION__KEY), those over files, files over defaults.
Exit codes: 0 done, 1 other error, 2 configuration, 3 data quality, 4 input missing,
5 training failed, 6 lost to another writer, 7 quality gate, 143 ended by SIGTERM."""


def wants_help(arguments: Sequence[str]) -> bool:
    """Return True if arguments ask for help."""
    return not FLAGS.isdisjoint(arguments)


def print_help(job: str, summary: str, settings: Sequence[str], arguments: Sequence[str]) -> int:
    """Print the help that arguments ask for and return the exit code.

    Without a section after `--help` it is that of the job.
    """
    place = next(place for place, word in enumerate(arguments) if word in FLAGS)
    topic = next(iter(arguments[place + 1 :]), "--")
    try:
        print(job_help(job, summary, settings) if topic.startswith("-") else section_help(topic), flush=True)
    except BrokenPipeError:
        # As in `--help all | head`: the flush at the end of the process would fail as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except ConfigError as error:
        print(f"{job}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def job_help(job: str, summary: str, settings: Sequence[str]) -> str:
    """Return the help of a job that uses these sections and keys.

    It has at most MAX_LINES lines: the largest sections are one line each where the text would be longer.
    """
    keys = ConfigKeys()
    groups = _groups(keys, settings)
    head = [f"usage: {job} [--config FILE]... [--section.key VALUE]...", "", *textwrap.wrap(summary, WIDTH), ""]
    tail = ["every job", *(_line(key, keys[key]) for key in COMMON_KEYS)]
    tail.append(f"  more keys of every job: {', '.join(f'--help {name}' for name in COMMON_SECTIONS)}")
    tail += CLOSING.format(example=next(iter(groups), "tables")).splitlines()
    shown = set(groups)
    # The first section is the one that the job is about.
    largest = sorted(list(groups)[1:], key=lambda name: len(groups[name]))
    while largest and len(head) + len(tail) + sum(1 for _ in _lines(groups, shown, keys)) > MAX_LINES:
        shown.remove(largest.pop())
    return "\n".join([*head, *_lines(groups, shown, keys), *tail])


def _groups(keys: Mapping[str, FieldInfo], settings: Sequence[str]) -> dict[str, list[str]]:
    """Return section -> its keys of these settings; a kind of models has no keys, as they are not loaded."""
    groups: dict[str, list[str]] = {}
    for setting in settings:
        if setting.startswith("models."):
            groups[setting] = []
        for key in keys:
            if f"{key}.".startswith(f"{setting}."):
                groups.setdefault(key.rpartition(".")[0], []).append(key)
    return groups


def _lines(groups: Mapping[str, list[str]], shown: set[str], keys: Mapping[str, FieldInfo]) -> Iterator[str]:
    """Yield the lines of all sections; those not shown follow in short form."""
    for section in (name for name in groups if name in shown and groups[name]):
        yield section
        yield from (_line(key, keys[key]) for key in groups[section])
        yield ""
    short = [name for name in groups if name not in shown or not groups[name]]
    if short:
        yield "more sections"
        yield from (_collapsed(name, groups[name]) for name in short)
        yield ""


def _line(key: str, info: FieldInfo) -> str:
    start = _column(f"--{key} {_short_type(info)}")
    default = default_text(info)
    ending = "" if default in ("null", "''", "[]") else f" [{default}]"
    sentence = (info.description or "").partition(". ")[0].rstrip(".")
    room = WIDTH - len(start)
    if len(ending) > room // 2:
        ending = ""
    return f"{start}{_cut(sentence, room - len(ending))}{ending}"


def _short_type(info: FieldInfo) -> str:
    text = type_text(info.annotation)
    return text if len(text) <= len("true|false") else "CHOICE"


def _collapsed(section: str, keys: Sequence[str]) -> str:
    """Return one line for a section; the keys of a kind of models are not listed."""
    start, ending = _column(f"--{section}.KEY VALUE"), f" (--help {section})"
    text = ", ".join(key.rpartition(".")[2] for key in keys) or "settings of the kind"
    return f"{start}{_cut(text, WIDTH - len(start) - len(ending))}{ending}"


def _column(flag: str) -> str:
    return f"  {flag}".ljust(FLAG_WIDTH) + " "


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: max(0, width - 1)].rstrip()}…"
