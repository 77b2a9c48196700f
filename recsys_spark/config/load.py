"""Loading of the configuration: flags override environment variables, those files, those defaults.

All problems are collected and raised together. Each names the origin of the value and, for an unknown key, its
replacement or the most similar existing key.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from recsys_spark.config.keys import RENAMED, ConfigKeys
from recsys_spark.config.model import BaseConfig, config_class
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.names import FORMATS, UNSCORED_KINDS, all_kinds, nearest_name

__all__ = ["config_from", "load_config"]

ENV_PREFIX = "RECSYS_"
# Short flags that take several values, and one value as it is: a user may have the id null.
LIST_FLAGS = {"items": "query.items"}
TEXT_FLAGS = {"user": "query.user"}
EXCLUSIVE = ("tables.root", "tables.schema")


@dataclass
class _Merge:
    """Values with their origins; later layers replace earlier ones."""

    keys: ConfigKeys
    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add_layer(self, layer: Mapping[str, tuple[Any, str]]) -> None:
        """Add a layer of key -> (value, origin)."""
        if all(layer.get(key, (None, ""))[0] is not None for key in EXCLUSIVE):
            self.problems.append(f"{' and '.join(EXCLUSIVE)} exclude each other: set only one of them")
        for key, (value, origin) in layer.items():
            if key not in self.keys:
                self.problems.append(f"unknown key {key!r} ({origin}){self._nearest(key)}")
                continue
            if key in EXCLUSIVE and value is not None:
                for other in EXCLUSIVE:
                    self.values.pop(other, None)
            self.values[key] = value
            self.origins[key] = origin

    def _nearest(self, key: str) -> str:
        if key in RENAMED:
            return f"; {RENAMED[key]}"
        return nearest_name(key, self.keys) or "; --help all lists all keys"

    def nested(self) -> dict[str, Any]:
        """Return the values of dotted keys as nested sections."""
        tree: dict[str, Any] = {}
        for key, value in self.values.items():
            *sections, leaf = key.split(".")
            node = tree
            for section in sections:
                node = node.setdefault(section, {})
            node[leaf] = value
        return tree


def load_config(
    argv: Sequence[str],
    environ: Mapping[str, str] | None = None,
    defaults: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> BaseConfig:
    """Load the configuration of a job from its arguments, environment and files.

    `defaults` holds values of keys that any layer replaces, `settings` values that win over all layers. Raises
    ConfigError with all problems of all layers.
    """
    merge = _Merge(ConfigKeys())
    merge.add_layer({key: (value, "default") for key, value in (defaults or {}).items()})
    files, flags = _split_arguments(argv, merge)
    for file in files:
        merge.add_layer(_file_layer(file, merge))
    merge.add_layer(_environment_layer(os.environ if environ is None else environ, merge.keys))
    merge.add_layer(flags)
    merge.add_layer({key: (value, "settings") for key, value in (settings or {}).items()})
    merge.problems.extend(merge.keys.problems)
    config = None if merge.keys.problems else _validate(merge)
    if merge.problems or config is None:
        raise ConfigError(*merge.problems)
    return config


def config_from(flags: Mapping[str, object]) -> BaseConfig:
    """Return the configuration of these keys and values, without environment and files."""
    return load_config([word for key, value in flags.items() for word in (f"--{key}", str(value))], {})


def _validate(merge: _Merge) -> BaseConfig | None:
    try:
        config = config_class(merge.keys.kinds).model_validate(merge.nested())
    except ValidationError as error:
        for detail in error.errors():
            key = ".".join(str(part) for part in detail["loc"] if not isinstance(part, int))
            origin = merge.origins.get(key, "default")
            # Values of secret keys stay out of messages.
            got = "" if getattr(merge.keys.get(key), "exclude", False) else f", got {detail['input']!r}"
            choices = re.findall("'([^']*)'", detail["msg"]) if got and detail["type"] == "literal_error" else []
            merge.problems.append(
                f"{key}: {detail['msg']}{got} ({origin}){nearest_name(str(detail['input']), choices)}"
            )
        return None
    merge.problems.extend(_cross_problems(config))
    return config


def _cross_problems(config: BaseConfig) -> Iterator[str]:
    if config.tables.root is None and config.tables.schema_name is None:
        yield "neither tables.root nor tables.schema is set: set one of them to the place of the tables"
    if config.tables.schema_name is not None and config.files.root is None:
        yield "files.root must be set when tables.schema is used"
    if config.query.items and config.query.user is not None:
        yield "query.items and query.user (--items, --user) exclude each other: set only one of them"
    if config.source.format not in FORMATS:
        near = nearest_name(config.source.format, FORMATS)
        yield f"source.format: no format {config.source.format!r}; there are {', '.join(FORMATS)}{near}"
    yield from config.source.column_problems()
    # Versions of these kinds can be published, but are no models of a pipeline.
    named = (config.model.kind,) if config.model.kind not in UNSCORED_KINDS else ()
    for key, kinds in (("model.kind", named), ("pipeline.kinds", config.pipeline.kinds)):
        for kind in kinds:
            if kind not in all_kinds():
                near = nearest_name(kind, all_kinds())
                yield f"{key}: no kind {kind!r}; there are {', '.join(all_kinds())}{near}"


def _split_arguments(argv: Sequence[str], merge: _Merge) -> tuple[list[str], dict[str, tuple[Any, str]]]:
    """Split arguments into --config files and the layer of flags.

    Forms of flags: `--key VALUE`, `--key=VALUE`, `--items NAME NAME ...` and `--user ID`.
    """
    files: list[str] = []
    flags: dict[str, tuple[Any, str]] = {}
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            merge.problems.append(f"unexpected argument {word!r}: settings are given as --section.key VALUE")
            continue
        name, equals, value = word[2:].partition("=")
        if name in LIST_FLAGS:
            values = [value] if equals else []
            while rest and not rest[0].startswith("--"):
                values.append(rest.pop(0))
            flags[LIST_FLAGS[name]] = (values, f"flag --{name}")
            continue
        if not equals:
            if not rest:
                merge.problems.append(f"--{name} needs a value")
                continue
            value = rest.pop(0)
        if name == "config":
            files.append(value)
        elif name in TEXT_FLAGS:
            flags[TEXT_FLAGS[name]] = (value, f"flag --{name}")
        else:
            flags[name] = (_from_text(value, merge.keys.get(name)), f"flag --{name}")
    return files, flags


def _file_layer(file: str, merge: _Merge) -> dict[str, tuple[Any, str]]:
    try:
        content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        merge.problems.append(f"configuration file {file}: {error}")
        return {}
    if content is None:
        return {}
    if not isinstance(content, dict):
        merge.problems.append(f"configuration file {file}: expected sections of keys, got {content!r}")
        return {}
    return {key: (value, file) for key, value in _flatten(content, merge.keys)}


def _flatten(content: Mapping[Any, Any], keys: Mapping[str, FieldInfo], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and key not in keys:
            yield from _flatten(value, keys, f"{key}.")
        elif value is not None or key in keys or not prefix:
            # An empty section in a file (`source:`) sets nothing.
            if value is None and any(other.startswith(f"{key}.") for other in keys):
                continue
            yield key, value


def _environment_layer(environ: Mapping[str, str], keys: Mapping[str, FieldInfo]) -> dict[str, tuple[Any, str]]:
    layer = {}
    for variable, text in sorted(environ.items()):
        if variable.startswith(ENV_PREFIX) and "__" in variable:
            key = variable.removeprefix(ENV_PREFIX).lower().replace("__", ".")
            layer[key] = (_from_text(text, keys.get(key)), f"environment {variable}")
    return layer


def _from_text(text: str, info: FieldInfo | None) -> Any:
    """Convert the text of a flag or variable: commas separate lists, null is None."""
    if info is None:
        return text
    annotation = str(info.annotation)
    if "None" in annotation and text.lower() in ("", "null", "none"):
        return None
    if annotation.startswith(("list", "tuple")):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text
