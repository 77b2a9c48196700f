"""Every configuration key with its definition; those of a model kind are looked up once the kind is named."""

from collections.abc import Iterator, Mapping

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from recsys_spark.config.kinds import load_settings
from recsys_spark.config.model import BaseConfig
from recsys_spark.core.names import all_kinds

__all__ = ["ConfigKeys", "settings_by_key"]


class ConfigKeys(Mapping[str, FieldInfo]):
    """Dotted key -> definition, for all sections and for the kinds that were asked about so far (`kinds`).

    `problems` tells of kinds whose settings cannot be read here, as torch is not installed.
    """

    def __init__(self) -> None:
        self._keys = _keys_of(BaseConfig)
        self.kinds: frozenset[str] = frozenset()
        self.problems: list[str] = []

    def __getitem__(self, key: str) -> FieldInfo:
        self._look_up_kind(key)
        return self._keys[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def _look_up_kind(self, key: str) -> None:
        section, _, rest = key.partition(".")
        kind = rest.partition(".")[0]
        if section != "models" or kind in self.kinds or kind not in all_kinds():
            return
        self.kinds |= {kind}
        try:
            self._keys |= _keys_of(load_settings(kind), f"models.{kind}.")
        except ImportError as error:
            self.kinds -= {kind}
            self.problems.append(f"{key}: models of kind {kind} need torch ({error}): install recsys_spark[torch]")


def settings_by_key() -> dict[str, FieldInfo]:
    """Every key there is, those of all kinds included."""
    known = ConfigKeys()
    for kind in all_kinds():
        known.get(f"models.{kind}")
    return dict(known)


def _keys_of(model: type[BaseModel], prefix: str = "") -> dict[str, FieldInfo]:
    found: dict[str, FieldInfo] = {}
    for name, info in model.model_fields.items():
        key = f"{prefix}{info.alias or name}"
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            found.update(_keys_of(info.annotation, f"{key}."))
        else:
            found[key] = info
    return found
