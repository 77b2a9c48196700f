"""Index of the configuration keys and their definitions.

Keys of a model kind are loaded when the kind is first looked up.
"""

from collections.abc import Iterator, Mapping

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from recsys_spark.config.kinds import load_settings
from recsys_spark.config.model import BaseConfig
from recsys_spark.core.libraries import missing_library
from recsys_spark.core.names import all_kinds

__all__ = ["RENAMED", "ConfigKeys", "settings_by_key"]

# Former keys, with what to set instead.
RENAMED = {
    "training.mixed_precision": "it is replaced by training.precision: tf32 is its true, float32 its false",
    "training.tracking_uri": "it is replaced by mlflow.tracking_uri",
}


class ConfigKeys(Mapping[str, FieldInfo]):
    """Mapping of dotted keys to definitions, for all sections and the loaded kinds.

    `kinds` holds the model kinds loaded so far. `problems` holds messages on kinds whose settings cannot be loaded,
    because Spark or torch is not installed.
    """

    def __init__(self) -> None:
        self._keys = _keys_of(BaseConfig)
        self.kinds: frozenset[str] = frozenset()
        self.problems: list[str] = []

    def __getitem__(self, key: str) -> FieldInfo:
        self._load_kind(key)
        return self._keys[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def _load_kind(self, key: str) -> None:
        section, _, rest = key.partition(".")
        kind = rest.partition(".")[0]
        if section != "models" or kind in self.kinds or kind not in all_kinds():
            return
        self.kinds |= {kind}
        try:
            self._keys |= _keys_of(load_settings(kind), f"models.{kind}.")
        except ImportError as error:
            self.kinds -= {kind}
            self.problems.append(f"{key}: the settings of {kind} cannot be read: {missing_library(error) or error}")


def settings_by_key() -> dict[str, FieldInfo]:
    """Return every key with its definition, for all sections and kinds."""
    keys = ConfigKeys()
    for kind in all_kinds():
        keys.get(f"models.{kind}")
    return dict(keys)


def _keys_of(model: type[BaseModel], prefix: str = "") -> dict[str, FieldInfo]:
    found: dict[str, FieldInfo] = {}
    for name, info in model.model_fields.items():
        key = f"{prefix}{info.alias or name}"
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            found.update(_keys_of(info.annotation, f"{key}."))
        else:
            found[key] = info
    return found
