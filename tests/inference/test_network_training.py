"""Sentence of a training that measures nothing: its reason, and the setting that gives a metric."""

import pytest

from recsys_spark.inference.network_training import unmeasured_sentence


@pytest.mark.parametrize(
    ("split_id", "fit", "reason", "setting"),
    [
        (None, "train", "there is no split: all epochs are trained", "Set split.protocol and run split_interactions"),
        ("random-1", "everything", "model.fit = everything trains on the validation", "Set model.fit to train"),
        ("random-1", "train", "the split random-1 has no validation pairs", "such as split.validation_share"),
    ],
)
def test_the_sentence_names_the_reason_and_the_setting(
    split_id: str | None, fit: str, reason: str, setting: str
) -> None:
    sentence = unmeasured_sentence(split_id, fit, "ndcg@100")
    assert sentence.startswith(f"nothing is measured, because {reason}")
    assert setting in sentence and sentence.endswith("to measure ndcg@100 after each epoch")
