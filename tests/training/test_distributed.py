"""Checks before distributed training, and retries; no Spark session is needed."""

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from pyspark.sql import SparkSession

from recsys_spark.config.training import TrainingSettings
from recsys_spark.core.errors import ConfigError, MissingInputError, TrainingError
from recsys_spark.training import distributed
from recsys_spark.training.distributed import check_training, run_training, threads_per_process
from recsys_spark.training.failures import clear_failure, read_failure, train_rank
from recsys_spark.training.spec import TrainSpec
from tests.training.runs import PLAIN, make_spec
from tests.training.shard_folders import planted_tastes

REPORT = {"metric": 0.5}
OWNED = {"spark.driver.resource.gpu.amount": "2"}
GPU_CLUSTER = {"spark.task.resource.gpu.amount": "1", "spark.python.worker.reuse": "false"}


def a_session(**conf: str) -> SparkSession:
    """Build a stand-in for a session, with Spark settings alone."""
    return cast(SparkSession, SimpleNamespace(conf=SimpleNamespace(get=conf.get)))


def settings_of(**changes: Any) -> TrainingSettings:
    """Return the default training settings with changes."""
    return TrainingSettings.model_validate(changes)


def problems_of(settings: TrainingSettings, conf: dict[str, str] | None = None) -> tuple[str, ...]:
    try:
        check_training(a_session(**(conf or {})), settings)
    except ConfigError as error:
        return error.problems
    return ()


@pytest.fixture(autouse=True)
def four_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a cluster of four slots, on a machine without GPUs."""
    monkeypatch.setattr(distributed, "parallelism", lambda spark: 4)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    # The training data of these tests do not exist; tests/training/test_memory.py has the check.
    monkeypatch.setattr(distributed, "check_network_memory", lambda *_: None)


@pytest.fixture
def spec(tmp_path: Path) -> TrainSpec:
    (tmp_path / "model").mkdir()
    return TrainSpec("mult_vae", {}, 0, "train", None, str(tmp_path / "model"))


def attempts(patch: pytest.MonkeyPatch, *outcomes: Callable[[], dict[str, Any]]) -> list[TrainSpec]:
    """Let attempts end like `outcomes`, in order, and return the list of attempts made."""
    made: list[TrainSpec] = []

    def distribute(spec: TrainSpec, settings: TrainingSettings) -> dict[str, Any]:
        made.append(spec)
        return outcomes[len(made) - 1]()

    patch.setattr(distributed, "_distribute", distribute)
    return made


def lost() -> dict[str, Any]:
    raise RuntimeError("Command failed\nwith return code -9\n\n")


def done() -> dict[str, Any]:
    return REPORT


@pytest.mark.parametrize(
    "settings",
    [
        settings_of(),
        settings_of(processes=3),
        settings_of(local=False, processes=4),
        settings_of(local=False),
    ],
)
def test_settings_that_can_run_are_accepted(settings: TrainingSettings) -> None:
    assert problems_of(settings) == ()


def test_dynamic_allocation_is_refused() -> None:
    (problem,) = problems_of(settings_of(local=False), {"spark.dynamicAllocation.enabled": "true"})
    assert "submit with spark.dynamicAllocation.enabled=false" in problem
    assert problems_of(settings_of(processes=2), {"spark.dynamicAllocation.enabled": "true"}) == ()


def test_more_processes_than_tasks_at_once_are_refused() -> None:
    (problem,) = problems_of(settings_of(local=False, processes=5))
    assert "training.processes: 5 tasks are requested and the cluster runs 4 at once" in problem


def test_more_gpus_than_there_are_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems_of(settings_of(use_gpu=True))
    assert "1 GPUs are requested and this machine has 0" in problem
    assert "training.use_gpu to false" in problem
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert problems_of(settings_of(use_gpu=True, processes=2), OWNED) == ()
    assert "training.processes to at most 2" in problems_of(settings_of(use_gpu=True, processes=3), OWNED)[0]


def test_processes_of_this_machine_need_the_driver_to_own_their_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert problems_of(settings_of(use_gpu=True)) == ()
    (problem,) = problems_of(settings_of(use_gpu=True, processes=2))
    assert "spark.driver.resource.gpu.amount=2" in problem
    assert len(problems_of(settings_of(use_gpu=True, processes=3), OWNED)) == 1


def test_executor_training_requires_gpu_amounts_and_new_workers() -> None:
    settings = settings_of(local=False, use_gpu=True)
    assert problems_of(settings, GPU_CLUSTER) == ()
    (amount,) = problems_of(settings, GPU_CLUSTER | {"spark.task.resource.gpu.amount": "2"})
    assert "spark.task.resource.gpu.amount=1" in amount
    two = {"spark.executor.instances": "2", "spark.executor.resource.gpu.amount": "1"}
    assert problems_of(settings_of(local=False, use_gpu=True, processes=2), GPU_CLUSTER | two) == ()
    (few,) = problems_of(settings_of(local=False, use_gpu=True, processes=3), GPU_CLUSTER | two)
    assert "3 tasks are requested and the cluster runs 2 at once" in few
    (reuse,) = problems_of(settings, GPU_CLUSTER | {"spark.python.worker.reuse": "true"})
    assert "submit with spark.python.worker.reuse=false" in reuse


def test_all_problems_are_reported_at_once() -> None:
    settings = settings_of(local=False, use_gpu=True, processes=9)
    assert len(problems_of(settings, {"spark.dynamicAllocation.enabled": "true"})) == 4


def test_refused_training_starts_no_process(spec: TrainSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    made = attempts(monkeypatch)
    with pytest.raises(ConfigError):
        run_training(a_session(), spec, settings_of(local=False, processes=5))
    assert made == []


def test_one_local_process_is_this_one(spec: TrainSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    made = attempts(monkeypatch)
    monkeypatch.setattr(distributed, "train", lambda fields: {"fields": fields})
    assert run_training(a_session(), spec, settings_of()) == {"fields": spec.as_dict()}
    assert made == []


def test_lost_processes_are_replaced_until_one_attempt_ends(
    spec: TrainSpec, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = attempts(monkeypatch, lost, lost, done)
    with caplog.at_level(logging.WARNING):
        assert run_training(a_session(), spec, settings_of(processes=2, retries=2)) == REPORT
    assert made == [spec] * 3
    expected = "training lost a process (with return code -9): attempt {} resumes from a checkpoint"
    assert [record.getMessage() for record in caplog.records] == [expected.format(2), expected.format(3)]


@pytest.mark.parametrize("retries", [0, 2])
def test_processes_that_are_lost_too_often_stop_training(
    retries: int, spec: TrainSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = attempts(monkeypatch, *[lost] * 10)
    with pytest.raises(
        TrainingError, match=rf"lost a process {retries + 1} times.*return code -9; run the same command again"
    ):
        run_training(a_session(), spec, settings_of(processes=2, retries=retries))
    assert len(made) == retries + 1


def test_an_error_with_a_failure_file_is_not_retried(spec: TrainSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    def failed() -> dict[str, Any]:
        reason = {"rank": 1, "message": "the loss is not a number"}
        (Path(spec.folder) / "failure.json").write_text(json.dumps(reason))
        return lost()

    made = attempts(monkeypatch, lost, failed, done)
    with pytest.raises(TrainingError, match=r"^the loss is not a number$"):
        run_training(a_session(), spec, settings_of(processes=2, retries=5))
    assert len(made) == 2


def test_a_lost_process_is_reported_by_the_last_line_before_stack_frames(
    spec: TrainSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def died() -> dict[str, Any]:
        frames = "\tat org.apache.spark.Task.run(Task.scala:1)\n\t... 21 more\n"
        raise RuntimeError(f"Job aborted\nExecutorLostFailure (executor 1 exited)\nDriver stacktrace:\n{frames}")

    attempts(monkeypatch, died)
    with pytest.raises(TrainingError, match=r"the last time with: ExecutorLostFailure \(executor 1 exited\); run"):
        run_training(a_session(), spec, settings_of(processes=2, retries=0))


def test_a_process_without_a_visible_gpu_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_spec(tmp_path, "song_autoencoder", planted_tastes(n_rows=4), PLAIN)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(TrainingError, match=r"rank 0 is process 0 of \S+ and sees 0 GPUs.*DEVICES is \)"):
        train_rank(spec.as_dict() | {"use_gpu": True})
    assert "sees 0 GPUs" in str(read_failure(spec))


def test_two_processes_do_not_share_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_spec(tmp_path, "song_autoencoder", planted_tastes(n_rows=4), PLAIN)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(TrainingError, match=r"is process 1 of .* and sees 1 GPUs"):
        train_rank(spec.as_dict() | {"use_gpu": True})


def test_the_failure_file_of_an_earlier_run_is_removed(spec: TrainSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    (Path(spec.folder) / "failure.json").write_text('{"rank": 0, "message": "long ago"}')
    attempts(monkeypatch, lost, done)
    assert run_training(a_session(), spec, settings_of(processes=2)) == REPORT


def test_a_failing_process_writes_a_failure_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_spec(tmp_path, "song_autoencoder", planted_tastes(n_rows=4), PLAIN)
    (tmp_path / "train" / "manifest.json").unlink()
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(MissingInputError) as raised:
        train_rank(spec.as_dict())
    failure = read_failure(spec)
    assert isinstance(failure, TrainingError)
    assert str(failure) == str(raised.value)
    clear_failure(spec)
    assert read_failure(spec) is None


@pytest.mark.parametrize("content", ["", "{", '{"rank": 1}', "[]", "3"])
def test_a_truncated_failure_file_is_ignored(content: str, spec: TrainSpec) -> None:
    (Path(spec.folder) / "failure.json").write_text(content)
    assert read_failure(spec) is None


def test_cores_are_divided_among_local_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert threads_per_process(settings_of(processes=3)) == 2
    assert threads_per_process(settings_of(processes=20)) == 1
    assert threads_per_process(settings_of(processes=3, threads=5)) == 5
    assert threads_per_process(settings_of(processes=3, local=False)) == 0


def test_training_on_executors_is_refused_through_spark_connect() -> None:
    class RemoteSession(SimpleNamespace):
        __module__ = "pyspark.sql.connect.session"

    session = cast(SparkSession, RemoteSession(conf=SimpleNamespace(get={}.get)))
    check_training(session, settings_of(local=True))
    with pytest.raises(ConfigError, match="Spark Connect does not have: set training"):
        check_training(session, settings_of(local=False))
