"""Compiled forward passes, and training without them where the compiler fails."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from recsys_spark.networks.song_autoencoder import SongAutoencoder
from recsys_spark.training.trainer import train
from tests.training.runs import PLAIN, log_of, make_specs, weights_of
from tests.training.shard_folders import planted_tastes

SETTINGS = PLAIN | {"dropout": 0.3}


def failing_at(call: int) -> Callable[..., Any]:
    """Return a compiler whose code draws a random number and fails at a call."""

    def compile_(function: Callable[..., Any], dynamic: bool) -> Callable[..., Any]:
        calls = 0

        def compiled(*args: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == call:
                torch.rand(())
                raise RuntimeError("no compiler here\nand a long trace")
            return function(*args)

        return compiled

    return compile_


@pytest.mark.parametrize("call", [1, 6])
def test_a_compiler_that_fails_is_one_warning_and_changes_nothing(
    call: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain, compiled = make_specs(tmp_path, "song_autoencoder", planted_tastes(), SETTINGS, "plain", "compiled")
    train(plain.as_dict())
    monkeypatch.setattr(torch, "compile", failing_at(call))
    with caplog.at_level(logging.WARNING):
        train(replace(compiled, compile=True).as_dict())
    warnings = [message for message in caplog.messages if "training.compile" in message]
    assert warnings == ["training.compile: torch.compile failed (no compiler here): training without it"]
    assert weights_of(compiled) == weights_of(plain)
    assert log_of(compiled) == log_of(plain)


def test_an_error_of_the_network_itself_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: SongAutoencoder, *args: Any) -> None:
        raise ValueError("of the network")

    monkeypatch.setattr(SongAutoencoder, "forward", broken)
    monkeypatch.setattr(torch, "compile", failing_at(0))
    (spec,) = make_specs(tmp_path, "song_autoencoder", planted_tastes(), SETTINGS, "model")
    with pytest.raises(ValueError, match="of the network"):
        train(replace(spec, compile=True).as_dict())


def test_without_the_setting_nothing_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", None)
    (spec,) = make_specs(tmp_path, "song_autoencoder", planted_tastes(), SETTINGS, "model")
    assert train(spec.as_dict())["epochs"] == 3


@pytest.mark.slow
def test_compiled_training_has_the_losses_of_plain_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without dropout there are no random numbers, in which the two would differ."""
    settings = PLAIN | {"epochs": 2}
    plain, compiled = make_specs(tmp_path, "song_autoencoder", planted_tastes(), settings, "plain", "compiled")
    train(plain.as_dict())
    with caplog.at_level(logging.WARNING):
        train(replace(compiled, compile=True).as_dict())
    assert [message for message in caplog.messages if "training.compile" in message] == []
    losses = [[line["loss"] for line in log_of(spec)] for spec in (plain, compiled)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
