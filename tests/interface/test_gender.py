"""`recsys gender`: the same classifier as the job, read without Spark."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interface.conftest import SETTINGS, Answer, model_row, write, write_classifier

Ask = Callable[..., Answer]


def test_the_serving_classifier_answers_for_titles(ask: Ask) -> None:
    code, out, err = ask("gender", "i0", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    # One item has a TF-IDF of 1, so the logits are 2 and -2.
    assert found["probabilities"]["f"] == pytest.approx(1 / (1 + 2.718281828**-4), abs=1e-6)
    assert (found["gender"], found["known_items"], found["model_version"]) == ("f", 1, "gender-new")
    assert found["base_rates"] == {"f": 0.75, "m": 0.25}
    code, out, _ = ask("gender", "red sun", "i3")
    assert code == 0 and out.startswith("gender: m (f 0.") and "O'Neill's [bold]Song" in out


def test_titles_that_are_unknown_or_ambiguous_are_stated(ask: Ask) -> None:
    code, out, _ = ask("gender", "Blue Moon", "Rad Sun")
    assert code == 0
    assert "several items have the name: Blue Moon (the first one is taken)" in out
    assert "not found: Rad Sun; nearest: Red Sun" in out
    code, out, _ = ask("gender", "nothing of the kind")
    assert code == 0 and out.startswith("gender: unknown")


def test_the_limit_of_confidence_is_a_setting(ask: Ask) -> None:
    assert json.loads(ask("gender", "i0", "--json", "--gender.confidence", "0.99")[1])["gender"] is None


def test_a_classifier_of_titles_alone_needs_no_other_model(root: Path, ask: Ask) -> None:
    write(root, "models", [model_row("gender-new", ["gender_predictions"], {})])
    code, _, err = ask("gender", "i0")
    assert code == 4 and "there is no model version als-new" in err
    write_classifier(root / "_files" / "models" / "gender-new", None)
    assert ask("gender", "i0")[0] == 0


def test_vectors_of_a_network_are_left_to_the_job(root: Path, ask: Ask) -> None:
    models = [model_row("gender-new", ["gender_predictions"], {}), model_row("cdae-new", [], {"units": 8})]
    write(root, "models", models)
    write_classifier(root / "_files" / "models" / "gender-new", "cdae-new")
    code, out, err = ask("gender", "i0")
    assert (code, out) == (2, "")
    assert err.endswith("run predict_gender --model.version gender-new --items TITLE...\n")


@pytest.mark.parametrize(
    ("lost", "job"),
    [("gender-new/classifier.json", "train_gender_model"), ("als-new/items/manifest.json", "train_spark_model")],
)
def test_lost_files_name_the_job_that_writes_them(root: Path, ask: Ask, lost: str, job: str) -> None:
    (root / "_files" / "models" / lost).unlink()
    code, _, err = ask("gender", "i0")
    assert code == 4 and f"run {job}" in err


def test_a_model_of_ratings_has_no_weights_of_plays(root: Path, ask: Ask) -> None:
    models = [
        model_row("gender-new", ["gender_predictions"], {}),
        model_row("als-new", [], {**SETTINGS, "implicit": False}),
    ]
    write(root, "models", models)
    assert ask("gender", "i0")[0] == 0
