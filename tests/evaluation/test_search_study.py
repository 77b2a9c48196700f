"""Search for settings: repeatable, resumable, and measured on validation data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, Trial, TrialState

from recsys_spark.config.kinds import load_settings
from recsys_spark.core.errors import TrainingError
from recsys_spark.core.names import all_kinds
from recsys_spark.core.search_space import Choice, Range, SearchSpace
from recsys_spark.evaluation.search_study import draw_settings, open_study, run_trials
from tests.conftest import Workspace

RANGES: SearchSpace = {"x": Range(0.01, 1.0, log=True), "n": Range(2, 9), "c": Choice(("a", "b"))}


class Killed(Exception):
    """Stand-in for a killed process."""


def search(file: Path, n: int, dies_at: int | None = None, seed: int = 1) -> list[FrozenTrial]:
    """Search for the smallest x and return the trials that finished in this run."""
    finished: list[FrozenTrial] = []

    def objective(trial: Trial) -> float:
        drawn = draw_settings(trial, RANGES)
        if trial.number == dies_at:
            raise Killed
        return float(drawn["x"])

    run_trials(open_study(file, "s", False), n, {"x": 0.5, "n": 3, "c": "b"}, seed, objective, finished.append)
    return finished


def test_the_given_settings_are_tried_first_and_all_values_lie_in_their_ranges(tmp_path: Path) -> None:
    trials = search(tmp_path / "s.jsonl", 12)
    assert trials[0].params == {"x": 0.5, "n": 3, "c": "b"}
    assert len(trials) == 12 and len({json.dumps(trial.params) for trial in trials}) == 12
    for trial in trials:
        assert 0.01 <= trial.params["x"] <= 1 and trial.params["n"] in range(2, 10) and trial.params["c"] in "ab"
        assert isinstance(trial.params["n"], int)
    assert [t.params for t in search(tmp_path / "again.jsonl", 12)] == [t.params for t in trials]
    assert [t.params for t in search(tmp_path / "other.jsonl", 12, seed=2)][1:] != [t.params for t in trials][1:]


def test_a_search_goes_on_where_it_was_stopped_and_tries_the_lost_settings_again(tmp_path: Path) -> None:
    file = tmp_path / "s.jsonl"
    with pytest.raises(Killed):
        search(file, 6, dies_at=3)
    stopped = open_study(file, "s", False).trials[3]
    rest = search(file, 6)
    assert rest[0].params == stopped.params and len(rest) == 3, "three were finished before"
    assert search(file, 6) == [], "nothing is left to try"
    # A killed process leaves a trial that has begun and never ended.
    lost = open_study(file, "s", False).ask()
    params = draw_settings(lost, RANGES)
    assert open_study(file, "s", False).trials[lost.number].state == TrialState.FAIL
    assert [trial.params for trial in search(file, 7)] == [params]
    whole = [trial.params for trial in search(tmp_path / "whole.jsonl", 6)]
    assert [t.params for t in open_study(file, "s", False).trials if t.state == TrialState.COMPLETE][:6] == whole


def test_settings_that_fail_are_finished_and_too_many_end_the_search(tmp_path: Path) -> None:
    def objective(trial: Trial) -> float:
        if trial.number < fails:
            raise TrainingError(f"loss of {trial.number} is not a number")
        return 1.0

    finished: list[FrozenTrial] = []
    fails = 2
    run_trials(open_study(tmp_path / "s.jsonl", "s", True), 4, {}, 1, objective, finished.append)
    assert [trial.state.name for trial in finished] == ["FAIL", "FAIL", "COMPLETE", "COMPLETE"]
    fails = 99
    with pytest.raises(TrainingError, match="loss of 4"):
        run_trials(open_study(tmp_path / "t.jsonl", "s", True), 50, {}, 1, objective, finished.append)


def test_pruned_trials_count_as_finished(tmp_path: Path) -> None:
    def objective(trial: Trial) -> float:
        raise optuna.TrialPruned

    finished: list[FrozenTrial] = []
    run_trials(open_study(tmp_path / "s.jsonl", "s", True), 3, {}, 1, objective, finished.append)
    assert [trial.state for trial in finished] == [TrialState.PRUNED] * 3


@pytest.mark.parametrize("kind", [kind for kind in all_kinds() if kind != "popularity"])
def test_search_spaces_hold_valid_values(kind: str) -> None:
    settings = load_settings(kind)
    search_space: SearchSpace = settings.search_space  # type: ignore[attr-defined]
    assert search_space
    for name, space in search_space.items():
        values: tuple[Any, ...] = space.values if isinstance(space, Choice) else (space.low, space.high)
        for value in values:
            assert getattr(settings.model_validate({name: value}), name) == value
        default = getattr(settings(), name)
        assert default in values if isinstance(space, Choice) else space.low <= default <= space.high


SPLIT = ["--split.protocol", "per_user_random", "--split.test_share", "0.2", "--split.validation_share", "0.2"]


@pytest.fixture
def split(workspace: Workspace, write: Callable[..., Path]) -> Workspace:
    """Return a workspace with a split of plays of two separate tastes."""
    rows = ["user_id,item_id", *[f"u{u},i{i}" for u in range(40) for i in range(12) if i % 2 == u % 2 and (u + i) % 5]]
    path = write("plays.csv", "\n".join([*rows, ""]))
    workspace.done("ingest_plays", "--source.format", "plays", "--source.path", path)
    workspace.done("build_interactions")
    workspace.done("split_interactions", *SPLIT)
    return workspace


@pytest.mark.slow
def test_the_job_keeps_every_trial_and_leaves_no_model(split: Workspace) -> None:
    flags = [*SPLIT, "--model.kind", "ease", "--models.ease.reg", "500"]
    outcome = split.done("search_parameters", *flags, "--search.trials", "2")
    assert "--models.ease.reg" in outcome.stdout
    rows = split.table("trials").orderBy("number").collect()
    assert [row["state"] for row in rows] == ["complete", "complete"]
    assert json.loads(rows[0]["params"]) == {"reg": 500.0} and rows[0]["metric"] == "ndcg@10"
    assert {row["algorithm"] for row in split.table("models").collect()} == {"popularity"}
    split.done("search_parameters", *flags, "--search.trials", "3")
    assert split.table("trials").count() == 3
    # evaluate measures the same value on the validation part.
    split.done("train_spark_model", *flags)
    split.done("evaluate", *SPLIT, "--evaluation.part", "validation")
    found = split.table("evaluations").where("algorithm = 'ease' AND metric = 'ndcg@10' AND slice = 'all'").collect()
    assert found[0]["value"] == pytest.approx(rows[0]["value"])


@pytest.mark.slow
def test_a_network_is_searched_epoch_by_epoch(split: Workspace) -> None:
    flags = [*SPLIT, "--model.kind", "mult_vae", "--models.mult_vae.epochs", "3", "--models.mult_vae.hidden", "8"]
    split.done("search_parameters", *flags, "--search.trials", "3")
    rows = split.table("trials").orderBy("number").collect()
    assert len(rows) == 3 and rows[0]["epochs"] == 3 and rows[0]["metric"] == "ndcg@100"
    left = [path for path in split.root.glob("_files/searches/*/*") if path.is_dir()]
    assert left == [], "weights of trials are thrown away"


def test_a_search_without_validation_data_is_refused(split: Workspace) -> None:
    assert split.run("search_parameters", "--model.kind", "ease").code == 2
    bare = ["--split.protocol", "per_user_random", "--split.validation_share", "0"]
    split.done("split_interactions", *bare)
    refused = split.run("search_parameters", *bare, "--model.kind", "ease")
    assert refused.code == 2 and "has no validation part" in refused.stderr
    als = ["--model.kind", "als", "--models.als.implicit", "false"]
    mismatch = split.run("search_parameters", *SPLIT, *als)
    assert mismatch.code == 2 and "is compared by rmse, which per_user_random does not measure" in mismatch.stderr
    nothing = split.run("search_parameters", *SPLIT, "--model.kind", "popularity")
    assert nothing.code == 2 and "declares no search space" in nothing.stderr
