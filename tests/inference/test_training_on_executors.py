"""Training on one process, two local processes, and two executors of a real cluster.

Processes that are killed are replaced.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.clusters import Cluster, standalone_cluster
from tests.processes import command_lines, executors

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_500)]

KIND = "song_autoencoder"
# No noise, so that results for any number of processes differ by rounding alone.
FLAGS = ["--model.kind", KIND, f"--models.{KIND}.batch_rows", "64", f"--models.{KIND}.learning_rate", "0.005"]
SPLIT = ["--split.protocol", "per_user_random"]
ON_EXECUTORS = ["--training.local", "false", "--training.processes", "2"]
EPOCHS = 6


def job(name: str, root: Path, *flags: str, environment: dict[str, str] | None = None) -> "subprocess.Popen[str]":
    """Start a job as a separate process."""
    command = [sys.executable, "-m", f"recsys_spark.jobs.{name}", "--tables.root", str(root), *flags]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment, text=True, start_new_session=True, **pipes)  # type: ignore[call-overload]


def done(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Wait for a process, assert that it succeeded, and return its summary."""
    out, errors = process.communicate(timeout=900)
    assert process.returncode == 0, errors[-3_000:]
    summary: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
    return summary


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write plays of 600 users, who prefer even or odd items of 40."""
    rows = ["user_id,item_id"]
    for user in range(600):
        rows += [f"u{user},i{item}" for item in range(40) if item % 2 == user % 2 and (item * 7 + user * 3) % 10 < 6]
    file = tmp_path_factory.mktemp("raw") / "plays.csv"
    file.write_text("\n".join([*rows, ""]))
    return file


@pytest.fixture(scope="module")
def ready(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a root with a split and shards."""
    root = tmp_path_factory.mktemp("ready") / "tables"
    done(job("ingest_plays", root, "--source.format", "plays", "--source.path", str(raw)))
    done(job("build_interactions", root))
    done(job("split_interactions", root, *SPLIT))
    done(job("write_shards", root, *SPLIT, *FLAGS))
    return root


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Start a cluster of one master and two workers."""
    with standalone_cluster(tmp_path_factory.mktemp("cluster")) as started:
        yield started


def train(root: Path, *flags: str, cluster: Cluster | None = None, seed: int = 42) -> "subprocess.Popen[str]":
    """Start training; another seed gives another version."""
    epochs = [f"--models.{KIND}.epochs", str(EPOCHS)]
    if cluster is None:
        return job("train_torch_model", root, *SPLIT, *FLAGS, *epochs, *flags)
    where = ["--spark.master", cluster.master, "--spark.driver_memory", "1g"]
    return job("train_torch_model", root, *SPLIT, *FLAGS, *epochs, *where, *flags, environment=cluster.environment())


def log_of(root: Path) -> list[dict[str, Any]]:
    """Return the epoch log of the only model."""
    (file,) = root.glob("_files/models/*/log.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def fresh(ready: Path, folder: Path) -> Path:
    """Return a copy of the root, without any model."""
    root = folder / "tables"
    subprocess.run(["cp", "-r", str(ready), str(root)], check=True)
    return root


@pytest.fixture(scope="module")
def alone(ready: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return the epoch log of training with one process."""
    root = fresh(ready, tmp_path_factory.mktemp("alone"))
    assert done(train(root))["rows"]["rows_of_rank_0"] == 600
    return log_of(root)


def assert_same(log: list[dict[str, Any]], alone: list[dict[str, Any]], tolerance: float) -> None:
    assert [line["epoch"] for line in log] == list(range(EPOCHS))
    for line, other in zip(log, alone, strict=True):
        assert line["loss"] == pytest.approx(other["loss"], rel=tolerance)
        assert (line["rows"], line["non_zeros"]) == (other["rows"], other["non_zeros"])
    assert log[-1]["metric"] == pytest.approx(alone[-1]["metric"], abs=0.02)


def test_two_local_processes_train_as_one(ready: Path, tmp_path: Path, alone: list[dict[str, Any]]) -> None:
    root = fresh(ready, tmp_path)
    rows = done(train(root, "--training.processes", "2"))["rows"]
    assert rows["rows_of_rank_0"] + rows["rows_of_rank_1"] == 600
    assert min(rows["rows_of_rank_0"], rows["rows_of_rank_1"]) > 200
    assert_same(log_of(root), alone, 1e-4)


def test_two_executors_train_as_one(ready: Path, tmp_path: Path, alone: list[dict[str, Any]], cluster: Cluster) -> None:
    root = fresh(ready, tmp_path)
    rows = done(train(root, *ON_EXECUTORS, cluster=cluster))["rows"]
    assert rows["rows_of_rank_0"] + rows["rows_of_rank_1"] == 600
    assert_same(log_of(root), alone, 1e-4)


def rank_processes() -> list[int]:
    """Return the training processes, which are children of torchrun."""
    parents = (b"torch_run_process_wrapper", b"torch.distributed")
    return [
        process
        for process, command in command_lines().items()
        if b"train.py" in command and not any(parent in command for parent in parents)
    ]


def wait_for_epoch(root: Path, process: "subprocess.Popen[str]", epoch: int) -> None:
    while process.poll() is None:
        files = list(root.glob("_files/models/*/log.jsonl"))
        if files and len(files[0].read_text().splitlines()) > epoch:
            return
        time.sleep(0.02)
    pytest.fail(process.communicate()[1][-3_000:])


@pytest.mark.parametrize("victim", ["a rank", "an executor", "a worker", "the driver"])
def test_training_resumes_after_a_kill_with_the_same_result(
    ready: Path, tmp_path: Path, alone: list[dict[str, Any]], cluster: Cluster, victim: str
) -> None:
    root = fresh(ready, tmp_path)
    process = train(root, *ON_EXECUTORS, cluster=cluster)
    wait_for_epoch(root, process, 1)
    if victim == "a rank":
        os.kill(rank_processes()[0], signal.SIGKILL)
    elif victim == "an executor":
        os.kill(executors()[0], signal.SIGKILL)
    elif victim == "a worker":
        os.killpg(cluster.workers[0].pid, signal.SIGKILL)
        cluster.start_worker()
    else:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        time.sleep(5)
        process = train(root, *ON_EXECUTORS, cluster=cluster)
    rows = done(process)["rows"]
    assert rows["rows_of_rank_0"] + rows["rows_of_rank_1"] == 600
    assert_same(log_of(root), alone, 1e-4)


def test_too_few_slots_are_refused_at_once(ready: Path, tmp_path: Path, cluster: Cluster) -> None:
    process = train(fresh(ready, tmp_path), "--training.local", "false", "--training.processes", "3", cluster=cluster)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "training.processes: 3 tasks are requested" in errors and "lower training.processes" in errors
