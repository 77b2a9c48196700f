"""Layers, errors and help of the configuration."""

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from recsys_spark.config.help import base_yaml, section_help
from recsys_spark.config.keys import RENAMED, ConfigKeys, settings_by_key
from recsys_spark.config.kinds import load_settings
from recsys_spark.config.load import load_config
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.names import NETWORKS, all_kinds

ROOT = ["--tables.root", "/tmp/x"]


def test_flags_override_environment_override_files_override_defaults(tmp_path: Path) -> None:
    low, high = tmp_path / "low.yaml", tmp_path / "high.yaml"
    low.write_text("run: {seed: 1}\nsource: {timezone: Asia/Seoul, encoding: ISO-8859-1}\nsimilarity: {neighbours: 7}")
    high.write_text("run: {seed: 2}\nsource:\n  timezone: Europe/Paris")
    config = load_config(
        [*ROOT, "--config", str(low), "--config", str(high), "--run.seed", "4"],
        {"RECSYS_RUN__SEED": "3", "RECSYS_SOURCE__TIMEZONE": "America/Lima", "UNRELATED": "x"},
    )
    assert config.run.seed == 4
    assert config.source.timezone == "America/Lima"
    assert config.source.encoding == "ISO-8859-1"
    assert config.similarity.neighbours == 7
    assert config.recommendations.top_k == 20


def test_all_problems_are_reported_at_once_with_the_nearest_key(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("run: {sead: 1}\nsource: {max_quarantine_share: 7}")
    with pytest.raises(ConfigError) as caught:
        load_config(["--config", str(file), "--tables.rot", "x", "--source.format", "vinyl", "stray"], {})
    text = "\n".join(caught.value.problems)
    assert "unknown key 'run.sead'" in text and "did you mean 'run.seed'" in text
    assert "unknown key 'tables.rot'" in text and "did you mean 'tables.root'" in text
    assert "source.max_quarantine_share" in text and "bad.yaml" in text
    assert "unexpected argument 'stray'" in text


@pytest.mark.parametrize(
    ("key", "replacement"),
    [
        ("training.mixed_precision", "training.precision: tf32 is its true, float32 its false"),
        ("training.tracking_uri", "mlflow.tracking_uri"),
    ],
)
def test_a_former_key_is_refused_with_its_replacement(key: str, replacement: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown key '{key}' .flag --{key}.; it is replaced by {replacement}$"):
        load_config([*ROOT, f"--{key}", "true"], {})
    assert set(RENAMED.values()) >= {f"it is replaced by {replacement}"}
    assert key not in ConfigKeys()


def test_an_unknown_format_or_kind_lists_the_existing_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config([*ROOT, "--source.format", "vinyl", "--model.kind", "oracle"], {})
    assert "movielens" in str(caught.value) and "als" in str(caught.value)


def test_root_and_schema_replace_each_other_between_layers(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("tables: {root: /tmp/y}")
    flags = ["--config", str(file), "--tables.schema", "db", "--files.root", "/tmp/f"]
    config = load_config(flags, {})
    assert config.tables.root is None and config.tables.schema_name == "db"


def test_root_and_schema_together_in_one_layer_are_a_problem() -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        load_config([*ROOT, "--tables.schema", "db"], {})


def test_schema_needs_a_files_root_and_tables_need_an_address() -> None:
    with pytest.raises(ConfigError, match=r"files\.root must be set"):
        load_config(["--tables.schema", "db"], {})
    with pytest.raises(ConfigError, match=r"neither tables\.root nor tables\.schema"):
        load_config([], {})


def test_lists_and_nulls_from_flags() -> None:
    flags = [*ROOT, "--pipeline.kinds", "als, popularity", "--items", "a, b", "c", "--source.name", "null"]
    config = load_config(flags, {})
    assert config.pipeline.kinds == ("als", "popularity")
    assert config.query.items == ("a, b", "c")
    assert config.source.name is None


def test_a_user_id_is_taken_as_it_is_and_stays_out_of_records() -> None:
    for text in ("null", "0042", "a, b"):
        config = load_config([*ROOT, "--user", text], {})
        assert config.query.user == text
        assert "user" not in config.model_dump()["query"] and text not in repr(config.query)
    with pytest.raises(ConfigError, match=r"--items, --user\) exclude each other"):
        load_config([*ROOT, "--user", "u1", "--items", "a"], {})


def test_yaml_that_would_run_code_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "evil.yaml"
    file.write_text("run: !!python/object/apply:os.system ['true']")
    with pytest.raises(ConfigError, match=r"evil\.yaml"):
        load_config([*ROOT, "--config", str(file)], {})


@pytest.mark.parametrize(
    "flags",
    [["--source.timezone", "Mars/Olympus"], ["--source.earliest", "2024-13-45"], ["--run.seed", "many"]],
)
def test_invalid_values_are_found_before_spark_starts(flags: list[str]) -> None:
    with pytest.raises(ConfigError, match=flags[0].removeprefix("--").replace(".", r"\.")):
        load_config([*ROOT, *flags], {})


def test_help_lists_every_key_with_a_description() -> None:
    text = section_help("all")
    for key, info in settings_by_key().items():
        assert f"--{key} " in text
        assert info.description, key


def test_base_yaml_in_conf_is_up_to_date() -> None:
    committed = Path(__file__).parents[2] / "conf" / "base.yaml"
    assert committed.read_text(encoding="utf-8") == base_yaml()


def test_base_yaml_loads_as_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "base.yaml"
    file.write_text(base_yaml(), encoding="utf-8")
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert content["similarity"]["neighbours"] == 50
    loaded = load_config([*ROOT, "--config", str(file)], {})
    plain = load_config(ROOT, {})
    assert loaded.model_dump(exclude={"models"}) == plain.model_dump(exclude={"models"})
    assert [kind for kind in all_kinds() if loaded.settings_of(kind) != plain.settings_of(kind)] == []


def test_settings_of_networks_need_torch_only_when_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_torch(kind: str) -> type[BaseModel]:
        if kind in NETWORKS:
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        return load_settings(kind)

    monkeypatch.setattr("recsys_spark.config.keys.load_settings", without_torch)
    assert load_config([*ROOT, "--models.als.rank", "8"], {}).settings_of("als").model_dump()["rank"] == 8
    with pytest.raises(
        ConfigError, match=r"settings of mult_vae.*torch is not installed.*: run python -m pip install .*torch"
    ):
        load_config([*ROOT, "--models.mult_vae.latent", "8"], {})


@pytest.mark.parametrize(
    ("flags", "nearest"),
    [
        (["--source.format", "movielense"], "movielens"),
        (["--model.kind", "popularty"], "popularity"),
        (["--pipeline.kinds", "als,mult_vea"], "mult_vae"),
        (["--split.protocol", "strong-random"], "strong_random"),
    ],
)
def test_the_nearest_name_is_offered_for_a_value(flags: list[str], nearest: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean '{nearest}'"):
        load_config(["--tables.root", "unused", *flags], {})


@pytest.mark.parametrize("kind", ["gender", "item_knn"])
def test_kinds_that_score_no_users_can_be_named_but_not_trained_by_a_pipeline(kind: str) -> None:
    assert load_config([*ROOT, "--model.kind", kind], {}).model.kind == kind
    with pytest.raises(ConfigError, match=r"pipeline\.kinds: no kind"):
        load_config([*ROOT, "--pipeline.kinds", f"als,{kind}"], {})
