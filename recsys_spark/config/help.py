"""Help on settings: `--help SECTION` of the jobs and conf/base.yaml.

`python -m recsys_spark.config.help > conf/base.yaml` writes the latter.
"""

import textwrap
import types
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from recsys_spark.config.keys import ConfigKeys, settings_by_key
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.names import all_kinds

__all__ = ["base_yaml", "default_text", "section_help", "topics", "type_text"]


def section_help(topic: str) -> str:
    """Return the full description of each key of a section.

    A topic is a section such as `source` or `models.cdae`, the first parts of keys such as `source.columns`, or one
    key; `all` is every section. Raises ConfigError with the nearest names for another topic, and where a library of a
    model kind is not installed.
    """
    if topic == "all":
        return "\n".join(_described(key, info) for key, info in settings_by_key().items())
    keys = ConfigKeys()
    keys.get(topic)
    found = {key: info for key, info in keys.items() if f"{key}.".startswith(f"{topic}.")}
    if keys.problems:
        raise ConfigError(*keys.problems)
    if topic == "models":
        return "\n".join(f"  --models.{kind}.KEY VALUE  (keys: --help models.{kind})" for kind in all_kinds())
    if not found:
        near = get_close_matches(topic, topics(keys), n=5, cutoff=0.5)
        nearest = f"; the nearest names are {', '.join(map(repr, near))}" if near else ""
        raise ConfigError(f"no section or setting has the name {topic!r}{nearest}; --help all lists all settings")
    return "\n".join(_described(key, info) for key, info in found.items())


def topics(keys: Iterable[str]) -> list[str]:
    """Return the names that `--help` takes: sections, kinds of models, and keys."""
    sections = [".".join(parts[:depth]) for parts in (key.split(".") for key in keys) for depth in range(1, len(parts))]
    return ["all", "models", *(f"models.{kind}" for kind in all_kinds()), *dict.fromkeys(sections), *keys]


def _described(key: str, info: FieldInfo) -> str:
    first = f"  --{key} {type_text(info.annotation)}  (default: {default_text(info)})"
    indent = " " * 8
    return f"{first}\n{textwrap.fill(info.description or '', 96, initial_indent=indent, subsequent_indent=indent)}"


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
    return {"str": "TEXT", "int": "INTEGER", "float": "NUMBER", "bool": "true|false", "datetime": "TIME"}.get(
        getattr(annotation, "__name__", ""), str(annotation)
    )


if __name__ == "__main__":
    print(base_yaml(), end="")
