"""Help on all settings: `--help` of the jobs and conf/base.yaml.

`python -m recsys_spark.config.help > conf/base.yaml` writes the latter.
"""

import textwrap
import types
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from recsys_spark.config.keys import settings_by_key

__all__ = ["base_yaml", "default_text", "help_text", "type_text"]


def help_text(job: str, summary: str) -> str:
    """Return the text of `JOB --help`: each key with type, default and meaning."""
    lines = [
        f"usage: {job} [--config FILE]... [--section.key VALUE]...",
        "",
        textwrap.fill(summary, 100),
        "",
        "Flags win over environment variables (RECSYS_SECTION__KEY), those over files (--config FILE,",
        "repeatable, later wins), files over defaults. Exit codes: 0 done, 2 configuration, 3 data quality,",
        "4 input missing, 5 training failed, 6 lost to another writer, 7 quality gate, 1 any other error.",
        "",
    ]
    for key, info in settings_by_key().items():
        lines.append(f"  --{key} {type_text(info.annotation)}  (default: {default_text(info)})")
        lines.append(textwrap.fill(info.description or "", 96, initial_indent=" " * 8, subsequent_indent=" " * 8))
    return "\n".join(lines)


def base_yaml() -> str:
    """Return every key with its default and description as YAML."""
    lines = ["# Every setting with its default. Written by: python -m recsys_spark.config.help"]
    open_sections: list[str] = []
    for key, info in settings_by_key().items():
        *sections, leaf = key.split(".")
        for depth, section in enumerate(sections):
            if open_sections[: depth + 1] != sections[: depth + 1]:
                lines.append(f"{'  ' * depth}{section}:")
                open_sections = sections[: depth + 1]
        open_sections = sections
        lines.append(f"{'  ' * len(sections)}{leaf}: {default_text(info)}  # {info.description}")
    return "\n".join(lines) + "\n"


def default_text(info: FieldInfo) -> str:
    """Return the default of a setting as YAML."""
    default = info.get_default(call_default_factory=True)
    return _yaml(list(default) if isinstance(default, tuple) else default)


def _yaml(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=1000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def type_text(annotation: Any) -> str:
    """Return the type of a setting, as `--help` shows it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "|".join(str(choice) for choice in arguments)
    if origin in (Union, types.UnionType):
        return "|".join(type_text(choice) for choice in arguments if choice is not type(None))
    if origin in (list, tuple):
        return "A,B,..."
    return {"str": "TEXT", "int": "INTEGER", "float": "NUMBER", "bool": "true|false"}.get(
        getattr(annotation, "__name__", ""), str(annotation)
    )


if __name__ == "__main__":
    print(base_yaml(), end="")
