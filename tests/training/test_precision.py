"""Precision of matrix products: rounded in training alone, where the metric allows it."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from recsys_spark.networks.mult_vae import MultVae
from recsys_spark.training import trainer
from recsys_spark.training.precision import Precision, choose_precision, float32_products
from recsys_spark.training.trainer import train
from tests.training.runs import NOISY, log_of, make_spec, make_specs, stored_weights, weights_of
from tests.training.shard_folders import planted_tastes

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.mark.parametrize(
    ("wanted", "metric", "device", "tf32", "bfloat16"),
    [
        ("float32", "ndcg@100", GPU, False, False),
        ("tf32", "ndcg@100", GPU, True, False),
        ("bfloat16", "ndcg@100", GPU, True, True),
        ("bfloat16", "recall@20", GPU, True, True),
        ("bfloat16", "rmse", GPU, True, False),
        ("tf32", "rmse", CPU, False, False),
        ("bfloat16", "rmse", CPU, False, False),
        ("bfloat16", "ndcg@100", CPU, False, True),
    ],
)
def test_bfloat16_is_for_ranking_and_tf32_for_gpus(
    wanted: str, metric: str, device: torch.device, tf32: bool, bfloat16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    assert choose_precision(wanted, metric, device) == Precision(device, tf32, bfloat16)


def test_a_gpu_without_bfloat16_uses_tf32(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    assert choose_precision("bfloat16", "ndcg@100", GPU) == Precision(GPU, True, False)
    assert caplog.messages == ["training.precision: Tesla T4 has no bfloat16: using TensorFloat-32"]


@pytest.mark.parametrize(("tf32", "name"), [(True, "high"), (False, "highest")])
def test_products_have_the_precision_of_their_context(tf32: bool, name: str) -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    with Precision(GPU, tf32, False).products():
        assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == (name, False)
        with float32_products():
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == name
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


def test_training_rounds_and_validation_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()

    def watch(name: str) -> None:
        method = getattr(MultVae, name)

        def watched(self: MultVae, *args: Any) -> Any:
            found.add((name, torch.get_float32_matmul_precision(), torch.is_autocast_enabled("cpu")))
            return method(self, *args)

        monkeypatch.setattr(MultVae, name, watched)

    watch("forward")
    watch("encode")
    watch("score_block")
    monkeypatch.setattr(trainer, "choose_precision", lambda *args: Precision(CPU, True, True))
    train(make_spec(tmp_path, "mult_vae", planted_tastes(), NOISY | {"epochs": 1}).as_dict())
    assert found == {("forward", "high", True), ("encode", "highest", False), ("score_block", "highest", False)}


def test_bfloat16_learns_nearly_the_same_with_float32_weights(tmp_path: Path) -> None:
    settings = NOISY | {"epochs": 8, "learning_rate": 0.02, "dropout": 0.2}
    plain, rounded = make_specs(tmp_path, "mult_vae", planted_tastes(60), settings, "plain", "rounded")
    expected, report = train(plain.as_dict()), train(replace(rounded, precision="bfloat16").as_dict())
    assert report["metric"] == pytest.approx(expected["metric"], abs=0.03)
    for one, other in zip(log_of(plain), log_of(rounded), strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=0.01)
        assert other["loss"] != one["loss"]
    assert {tensor.dtype for name, tensor in stored_weights(rounded).items() if name != "column_counts"} == {
        torch.float32
    }


def test_a_network_measured_by_rmse_is_not_rounded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = {"layers": (6, 4), "batch_rows": 12, "epochs": 2}
    plain, rounded = make_specs(tmp_path, "deeprec", planted_tastes(ratings=True), settings, "plain", "rounded")
    train(plain.as_dict())
    with caplog.at_level(logging.WARNING):
        train(replace(rounded, precision="bfloat16").as_dict())
    assert weights_of(rounded) == weights_of(plain)
    warnings = [message for message in caplog.messages if "training.precision" in message]
    assert warnings == ["training.precision: bfloat16 is too coarse for a network measured by rmse: using float32"]
