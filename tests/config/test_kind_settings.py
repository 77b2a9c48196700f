"""Settings of model kinds: in modules of their own, or in the class of the kind alone."""

import sys
from types import ModuleType

import pytest
from pydantic import BaseModel, Field

from recsys_spark.config.help import section_help
from recsys_spark.config.kinds import load_settings
from recsys_spark.config.load import load_config
from recsys_spark.core.names import KINDS, NETWORKS, SETTINGS, all_kinds, load_named


class OwnSettings(BaseModel):
    """Settings of a kind that an installation adds."""

    width: int = Field(default=3, ge=1, description="Width of the layer.")


class OwnKind:
    Settings = OwnSettings


@pytest.mark.parametrize("kind", all_kinds())
def test_the_settings_of_a_kind_are_those_of_its_class(kind: str) -> None:
    assert load_settings(kind) is load_named((KINDS | NETWORKS)[kind]).Settings


def test_every_line_of_settings_is_that_of_a_kind() -> None:
    assert SETTINGS.keys() == set(all_kinds())


def test_a_kind_may_have_its_settings_in_its_class_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("own_kinds")
    module.OwnKind = OwnKind  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "own_kinds", module)
    monkeypatch.setitem(KINDS, "own", "own_kinds:OwnKind")
    assert load_settings("own") is OwnSettings
    config = load_config(["--tables.root", "unused", "--models.own.width", "5"], {})
    assert config.settings_of("own") == OwnSettings(width=5)
    assert section_help("models.own").startswith("  --models.own.width INTEGER  (default: 3)")
