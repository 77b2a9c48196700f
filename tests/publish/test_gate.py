"""Quality gate: values of one split compared, refusals with numbers, recorded overrides."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import functions as F

from recsys_spark.config.load import load_config
from recsys_spark.core.errors import ConfigError, QualityGateError
from recsys_spark.models.versions import ModelVersion, find_model
from recsys_spark.publish.gate import GateDecision, check_gate
from recsys_spark.publish.publication import publication_notice, publish, roll_back
from recsys_spark.storage.schemas import TABLES
from recsys_spark.storage.tables import Tables
from tests.conftest import Workspace

SPLIT, OTHER = "strong_random-aaaaaaaaaaaa", "strong_random-bbbbbbbbbbbb"


class Shop:
    """Versions with outputs and metric values, as jobs write them."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.tables = workspace, workspace.tables()
        self.made = 0
        self.rows: dict[str, list[tuple[Any, ...]]] = {}

    def model(self, name: str, split: str | None = SPLIT, parent: str | None = None, **row: Any) -> str:
        version = f"{name}-{self.made:012d}"
        self.made += 1
        kind = name
        settings = json.dumps({"settings": row.get("settings", {"of": version}), "seed": 1})
        metric, now = row.get("metric", "ndcg@10"), datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=self.made)
        values: tuple[Any, ...] = (
            version,
            kind,
            now,
            settings,
            "{}",
            split,
            parent,
            {},
            metric,
            "",
            [],
            None,
            None,
            None,
        )
        self.add("models", values)
        output = (version, kind, "u", 1, "i", 1.0, "model")
        self.add("recommendations", output)
        return version

    def evaluate(
        self, version: str, value: float, split: str = SPLIT, metric: str = "ndcg@10", part: str = "test"
    ) -> None:
        kind = version.split("-", maxsplit=1)[0]
        about = ("d", "strong_random", split, part, kind, version, metric, "all", value, None, None)
        self.add("evaluations", (*about, 10, 1, "run", datetime.now(UTC)))

    def add(self, table: str, row: tuple[Any, ...]) -> None:
        self.rows.setdefault(table, []).append(row)

    def write(self) -> Tables:
        """Write the added rows, one commit a table, and return the tables."""
        for table, rows in self.rows.items():
            self.tables.ensure(table)
            self.tables.append(table, self.workspace.spark.createDataFrame(rows, TABLES[table].schema))
        self.rows.clear()
        return self.tables

    def publish(self, version: str, *flags: str, served: str | None = None) -> dict[str, Any]:
        """Publish a version and return the record in models.gate.

        `served` is the version that serves recommendations afterwards, if it is another one.
        """
        config = load_config(["--tables.root", str(self.workspace.root), *flags], {})
        self.write()
        tables = Tables(self.workspace.spark, config, "run", "test")
        publish(tables, find_model(tables, version.split("-", maxsplit=1)[0], version), config)
        row = tables.read("models").where(F.array_contains("serves", "recommendations")).collect()
        assert [r["model_version"] for r in row] == [served or version]
        (own,) = tables.read("models").where(F.col("model_version") == version).collect()
        record: dict[str, Any] = json.loads(own["gate"])
        return record


@pytest.fixture
def shop(workspace: Workspace) -> Shop:
    return Shop(workspace)


def test_a_worse_model_is_refused_with_both_numbers_and_an_override_is_recorded(shop: Shop) -> None:
    first, second = shop.model("als"), shop.model("mult_vae")
    for version, value in ((first, 0.3), (second, 0.29), (shop.model("popularity"), 0.1)):
        shop.evaluate(version, value)
    assert shop.publish(first)["verdict"] == "passed"
    with pytest.raises(QualityGateError, match=rf"{second} is worse than {first}.*0.2900 against 0.3000") as refused:
        shop.publish(second)
    assert refused.value.exit_code == 7 and "--publish.override" in str(refused.value)
    assert shop.publish(second, "--publish.tolerance", "0.05")["serving"] == {
        first: {"figure": 0.3, "judged_version": first}
    }
    roll_back(shop.tables)
    record = shop.publish(second, "--publish.override", "the catalogue is new")
    assert (record["verdict"], record["reason"]) == ("overridden", "the catalogue is new")
    assert record["candidate"] == 0.29 and record["problems"]


def test_lists_of_similar_items_are_compared_by_their_own_metric(shop: Shop) -> None:
    """Lists of users stay with the model; a model replaces lists from shared users only if its own are as good."""
    model, lists = shop.model("als"), shop.model("item_knn", metric="similar_recall@10")
    shop.rows["recommendations"] = [row for row in shop.rows["recommendations"] if row[0] == model]
    for version in (model, lists):
        shop.add("item_similarity", (version, version.partition("-")[0], "i", 1, "j", 0.5))
    for version, value in ((model, 0.3), (shop.model("popularity"), 0.1)):
        shop.evaluate(version, value)
    assert shop.publish(model)["verdict"] == "passed"
    with pytest.raises(QualityGateError, match="run evaluate_similarity for both"):
        shop.publish(lists)
    shop.evaluate(lists, 0.06, metric="similar_recall@10")
    with pytest.raises(QualityGateError, match=f"{model}, which serves, has no similar_recall@10"):
        shop.publish(lists)
    shop.evaluate(model, 0.04, metric="similar_recall@10")
    assert shop.publish(lists, served=model)["verdict"] == "passed"
    with pytest.raises(QualityGateError, match=rf"{model} is worse than {lists}.*0.0400 against 0.0600"):
        shop.publish(model)


def test_a_model_worse_than_popularity_is_refused(shop: Shop) -> None:
    version, popular = shop.model("als"), shop.model("popularity")
    shop.evaluate(version, 0.1)
    shop.evaluate(popular, 0.11)
    with pytest.raises(QualityGateError, match=r"worse than popularity.*0.1000 against 0.1100"):
        shop.publish(version)
    assert shop.publish(popular)["candidate"] == 0.11


def test_smaller_errors_are_better(shop: Shop) -> None:
    first, second, third = (shop.model("autorec_item", metric="rmse") for _ in range(3))
    for version, value in ((first, 0.85), (second, 0.84), (third, 0.86)):
        shop.evaluate(version, value, metric="rmse")
    shop.publish(first)
    shop.publish(second)
    with pytest.raises(QualityGateError, match=r"0.8600 against 0.8400"):
        shop.publish(third)


def test_a_last_fit_is_compared_by_its_parent(shop: Shop) -> None:
    parents = [shop.model("als"), shop.model("als")]
    for parent, value in zip(parents, (0.3, 0.2), strict=True):
        shop.evaluate(parent, value)
    fits = [shop.model("als", split=None, parent=parent) for parent in parents]
    assert shop.publish(fits[0])["judged_version"] == parents[0]
    with pytest.raises(QualityGateError, match=rf"{fits[1]} is worse than {fits[0]}.*0.2000 against 0.3000"):
        shop.publish(fits[1])


def test_models_of_different_splits_are_compared_on_the_candidates_split(shop: Shop) -> None:
    """Models of the serving kind and settings stand for it on a new split."""
    serving = shop.model("als", split=OTHER, settings={"rank": 8})
    shop.evaluate(serving, 0.9, split=OTHER)
    shop.publish(serving)
    candidate = shop.model("mult_vae")
    shop.evaluate(candidate, 0.3)
    with pytest.raises(QualityGateError, match=rf"{serving}, which serves, has no ndcg@10 on {SPLIT}"):
        shop.publish(candidate)
    shop.evaluate(shop.model("als", settings={"rank": 9}), 0.1)
    with pytest.raises(QualityGateError, match="has no ndcg@10"):
        shop.publish(candidate)
    again = shop.model("als", settings={"rank": 8})
    shop.evaluate(again, 0.2)
    assert shop.publish(candidate)["serving"] == {serving: {"figure": 0.2, "judged_version": again}}


def test_models_without_evaluation_may_serve_until_an_evaluated_one_does(shop: Shop) -> None:
    unevaluated, evaluated = [shop.model("als", split=None) for _ in range(3)], shop.model("als")
    assert shop.publish(unevaluated[0])["verdict"] == "unjudged"
    assert shop.publish(unevaluated[1])["verdict"] == "unjudged"
    shop.evaluate(evaluated, 0.3)
    with pytest.raises(QualityGateError, match=f"{unevaluated[1]}, which serves, has no"):
        shop.publish(evaluated)
    shop.publish(evaluated, "--publish.override", "the first with values")
    with pytest.raises(QualityGateError, match=rf"{unevaluated[2]} was not evaluated, and {evaluated}"):
        shop.publish(unevaluated[2])


@pytest.mark.slow
def test_only_values_of_the_configured_part_and_metric_count(shop: Shop) -> None:
    version, popular = shop.model("als"), shop.model("popularity")
    for metric, part, value in (("ndcg@10", "validation", 0.0), ("ndcg@10", "test", 0.3), ("recall@10", "test", 0.05)):
        shop.evaluate(version, value, metric=metric, part=part)
        shop.evaluate(popular, 0.1, metric=metric, part=part)
    config = load_config(["--tables.root", str(shop.workspace.root)], {})
    tables = shop.write()
    assert (
        check_gate(tables, find_model(tables, "als", version), ["recommendations"], config).record["candidate"] == 0.3
    )
    with pytest.raises(QualityGateError, match=r"recall@10 on .*0.0500 against 0.1000"):
        shop.publish(version, "--publish.metric", "recall@10")
    with pytest.raises(QualityGateError, match=r"0.0000 against 0.1000"):
        shop.publish(version, "--evaluation.part", "validation")
    for metric, message in (("mrr@10", "was evaluated, but not by mrr@10"), ("ndcg@1O", "no metric 'ndcg@1O'")):
        with pytest.raises(ConfigError, match=message):
            shop.publish(version, "--publish.metric", metric)


def test_only_versions_to_be_replaced_are_compared(shop: Shop) -> None:
    """A model that serves only other tables is not compared with."""
    other, version = shop.model("als", split=OTHER), shop.model("mult_vae")
    shop.add("item_similarity", (other, "als", "i", 1, "j", 0.5))
    shop.evaluate(version, 0.3)
    shop.publish(other)
    plain = shop.model("popularity")
    shop.publish(plain)
    assert [row["serves"] for row in shop.tables.read("models").where(F.col("model_version") == other).collect()] == [
        ["item_similarity"]
    ]
    with pytest.raises(QualityGateError) as refused:
        shop.publish(version)
    assert plain in str(refused.value) and other not in str(refused.value)


NOTICES = [("als", "train it on the split and run evaluate"), ("gender", "run evaluate_gender with its settings")]


@pytest.mark.parametrize(("kind", "advice"), NOTICES)
def test_a_missing_evaluation_is_a_sentence_and_only_with_a_split(kind: str, advice: str) -> None:
    version = ModelVersion(f"{kind}-1", kind, {}, {}, "", None, None, {}, None, None)
    decision = GateDecision((), {"verdict": "unjudged"})
    flags = ["--tables.root", "t"]
    notice = publication_notice(version, decision, load_config([*flags, "--split.protocol", "strong_random"], {}))
    assert notice is not None and notice.startswith(f"{kind}-1 was published without an evaluation: {advice}")
    assert "{" not in notice
    assert publication_notice(version, decision, load_config(flags, {})) is None


def test_an_override_is_a_warning_with_its_reason_and_a_pass_is_silent() -> None:
    version, config = (
        ModelVersion("als-1", "als", {}, {}, "", None, None, {}, None, None),
        load_config(["--tables.root", "t"], {}),
    )
    decision = GateDecision((), {"verdict": "overridden", "reason": "new data", "problems": ("worse than popularity",)})
    text = "als-1 was published although the gate refused it (new data): worse than popularity"
    assert publication_notice(version, decision, config) == text
    assert publication_notice(version, GateDecision((), {"verdict": "passed"}), config) is None


def test_values_that_came_after_the_publication_count_as_well(shop: Shop) -> None:
    evaluated_later, unevaluated = shop.model("als"), shop.model("als", split=None)
    assert shop.publish(evaluated_later)["verdict"] == "unjudged"
    shop.evaluate(evaluated_later, 0.3)
    with pytest.raises(QualityGateError, match=rf"{unevaluated} was not evaluated, and {evaluated_later}"):
        shop.publish(unevaluated)


def roll_back_by_job(shop: Shop) -> dict[str, set[str]]:
    """Roll back by the job, which records it, and return version -> tables."""
    shop.workspace.done("publish_model", "--publish.rollback", "true")
    return serving(shop)


def serving(shop: Shop) -> dict[str, set[str]]:
    rows = shop.workspace.table("models").where("size(serves) > 0").select("model_version", "serves").collect()
    return {row[0]: set(row[1]) for row in rows}


def test_rollback_skips_versions_that_were_rolled_back(shop: Shop) -> None:
    good, bad, next_one = (shop.model("als", split=None) for _ in range(3))
    shop.publish(good)
    shop.publish(bad)
    assert set(roll_back_by_job(shop)) == {good}
    shop.publish(next_one)
    assert set(roll_back_by_job(shop)) == {good}
    outcome = shop.workspace.run("publish_model", "--publish.rollback", "true")
    assert outcome.code == 4 and f"no earlier version than {good}" in outcome.stderr
    shop.publish(bad)
    assert set(roll_back_by_job(shop)) == {good}, "published again it is one of many"


def test_rollback_undoes_one_publication_and_leaves_other_tables(shop: Shop) -> None:
    first, second = shop.model("als", split=None), shop.model("als", split=None)
    for version in (first, second):
        shop.add("item_similarity", (version, "als", "i", 1, "j", 0.5))
        shop.publish(version)
    lists = shop.model("popularity", split=None)
    shop.publish(lists)
    both = {"item_similarity", "recommendations"}
    assert serving(shop) == {second: {"item_similarity"}, lists: {"recommendations"}}
    assert roll_back_by_job(shop) == {second: both}
    assert roll_back_by_job(shop) == {first: both}


def test_a_rollback_that_was_killed_before_it_was_recorded_is_completed_once(shop: Shop) -> None:
    versions = [shop.model("als", split=None) for _ in range(3)]
    for version in versions:
        shop.publish(version)
    # The commit alone, as a run leaves it that is killed right after it.
    assert roll_back(shop.workspace.tables()) == {"recommendations": versions[1]}
    assert set(roll_back_by_job(shop)) == {versions[1]}
    assert set(roll_back_by_job(shop)) == {versions[0]}
