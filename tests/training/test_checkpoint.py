"""Checkpoints: atomic writes, and detection of damaged files."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from recsys_spark.core.errors import TrainingError
from recsys_spark.training.checkpoint import Checkpoint, Checkpoints, flatten_optimizer, restore_optimizer

FILES = ["optimizer.safetensors", "state.json", "sums.json", "weights.safetensors"]


def a_checkpoint(step: int) -> Checkpoint:
    torch.manual_seed(step)
    groups = {"weights": {"a": torch.randn(3, 4), "b": torch.arange(5)}, "optimizer": {"0.step": torch.tensor(2.0)}}
    return Checkpoint(step, groups, {"state": '{"epoch": 1}', "text": "über", "number": 0.1, "none": None})


def assert_same(actual: Checkpoint | None, expected: Checkpoint) -> None:
    assert actual is not None
    assert (actual.step, actual.state) == (expected.step, expected.state)
    assert set(actual.tensors) == set(expected.tensors)
    for group, tensors in expected.tensors.items():
        assert set(actual.tensors[group]) == set(tensors)
        assert all(torch.equal(actual.tensors[group][name], tensor) for name, tensor in tensors.items())
        assert all(actual.tensors[group][name].dtype == tensor.dtype for name, tensor in tensors.items())


def stepped(optimizer: torch.optim.Optimizer, weight: Tensor, steps: int) -> Tensor:
    for _ in range(steps):
        optimizer.zero_grad()
        (weight.square().sum() + weight[0]).backward()
        optimizer.step()
    return weight.detach().clone()


def test_a_read_checkpoint_equals_the_saved_one(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.newest() is None
    checkpoints.save(a_checkpoint(7))
    assert_same(Checkpoints(tmp_path / "checkpoints").newest(), a_checkpoint(7))


def test_groups_without_tensors_and_views_of_tensors_are_kept(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    checkpoint = Checkpoint(1, {"average": {}, "weights": {"turned": whole.T, "part": whole[1:]}}, {})
    Checkpoints(tmp_path).save(checkpoint)
    assert_same(Checkpoints(tmp_path).newest(), checkpoint)


@pytest.mark.parametrize("kind", ["adam", "fused adam", "sgd"])
def test_a_restored_optimiser_continues_like_an_uninterrupted_one(kind: str, tmp_path: Path) -> None:
    def optimizer_of(weight: Tensor) -> torch.optim.Optimizer:
        if kind == "sgd":
            return torch.optim.SGD([weight], lr=0.1, momentum=0.9)
        return torch.optim.Adam([{"params": [weight], "lr": 0.1, "rate_factor": 2.0}], fused=kind == "fused adam")

    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = optimizer_of(weight)
    stepped(optimizer, weight, 3)
    tensors, groups = flatten_optimizer(optimizer)
    Checkpoints(tmp_path).save(Checkpoint(3, {"optimizer": tensors, "weights": {"w": weight}}, {"groups": groups}))

    kept = Checkpoints(tmp_path).newest()
    assert kept is not None
    other = nn.Parameter(kept.tensors["weights"]["w"].clone())
    restored = optimizer_of(other)
    restore_optimizer(restored, kept.tensors["optimizer"], kept.state["groups"])
    assert torch.equal(stepped(restored, other, 3), stepped(optimizer, weight, 3))


def test_an_optimiser_without_a_step_is_kept(tmp_path: Path) -> None:
    weight = nn.Parameter(torch.ones(2))
    tensors, groups = flatten_optimizer(torch.optim.Adam([weight]))
    restore_optimizer(torch.optim.Adam([weight]), tensors, groups)
    assert tensors == {}


@pytest.mark.parametrize("damage", ["flipped", "truncated", "emptied", "missing"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_checkpoint_is_skipped_with_a_warning(
    name: str, damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(a_checkpoint(1))
    newest = checkpoints.save(a_checkpoint(2))
    assert sorted(file.name for file in newest.iterdir()) == FILES
    content = (newest / name).read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    if damage == "missing":
        (newest / name).unlink()
    else:
        (newest / name).write_bytes({"flipped": flipped, "truncated": content[:-1], "emptied": b""}[damage])
    with caplog.at_level(logging.WARNING):
        assert_same(checkpoints.newest(), a_checkpoint(1))
    (record,) = caplog.records
    assert f"{newest} is damaged" in record.getMessage()


def test_every_bit_of_the_sums_matters(tmp_path: Path) -> None:
    """A flipped bit may leave valid JSON with other keys or other sums."""
    newest = Checkpoints(tmp_path).save(a_checkpoint(2))
    whole = (newest / "sums.json").read_bytes()
    for place in range(len(whole)):
        for bit in (1, 2, 32):
            flipped = bytearray(whole)
            flipped[place] ^= bit
            (newest / "sums.json").write_bytes(flipped)
            checkpoint = Checkpoints(tmp_path).newest()
            # Changes of white space do not change the stated sums.
            assert checkpoint is None or flipped.decode().split() == whole.decode().split()


def test_without_any_whole_checkpoint_there_is_none(tmp_path: Path) -> None:
    for step in (1, 2):
        (Checkpoints(tmp_path).save(a_checkpoint(step)) / "state.json").write_text("{}")
    assert Checkpoints(tmp_path).newest() is None


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_only_the_newest_are_kept(keep: int, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep)
    for step in (8, 9, 10, 11, 100):
        checkpoints.save(a_checkpoint(step))
    kept = sorted(int(folder.name.removeprefix("step-")) for folder in tmp_path.iterdir())
    assert kept == [8, 9, 10, 11, 100][-keep:]
    assert_same(checkpoints.newest(), a_checkpoint(100))


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(a_checkpoint(4))
    again = Checkpoint(4, {"weights": {"a": torch.ones(1)}}, {"epoch": 2})
    checkpoints.save(again)
    assert_same(checkpoints.newest(), again)


def test_a_partial_checkpoint_of_a_killed_process_is_ignored_and_removed(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(a_checkpoint(4))
    (tmp_path / ".writing").mkdir()
    (tmp_path / ".writing" / "weights.safetensors").write_bytes(b"half")
    assert_same(checkpoints.newest(), a_checkpoint(4))
    checkpoints.save(a_checkpoint(6))
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["step-000000004", "step-000000006"]


def test_nothing_in_a_checkpoint_could_run_code(tmp_path: Path) -> None:
    newest = Checkpoints(tmp_path).save(a_checkpoint(1))
    assert {file.suffix for file in newest.iterdir()} == {".json", ".safetensors"}
    assert not [file for file in newest.iterdir() if file.read_bytes().startswith((b"\x80", b"PK"))]


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import torch
from recsys_spark.core.errors import TrainingError
from recsys_spark.training.checkpoint import Checkpoint, Checkpoints

checkpoints = Checkpoints(Path(sys.argv[1]))
checkpoints.save(Checkpoint(1, {"weights": {"a": torch.ones(1000)}}, {}))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for limit in map(int, sys.argv[2:]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        checkpoints.save(Checkpoint(2, {"weights": {"a": torch.ones(100_000)}}, {}))
    except TrainingError as error:
        print(error)
    kept = checkpoints.newest()
    print(kept.step, kept.tensors["weights"]["a"].sum().item())
"""


def test_a_full_disk_is_reported_and_leaves_the_previous_checkpoint(tmp_path: Path) -> None:
    """A limit on the file size of the child process stands for a full disk: no bytes fit, or most do."""
    script = [sys.executable, "-c", FULL_DISK, str(tmp_path / "checkpoints"), "0", "300000"]
    lines = subprocess.run(script, stdout=subprocess.PIPE, text=True, check=True, timeout=120).stdout.splitlines()
    assert len(lines) == 4
    for message, kept in (lines[:2], lines[2:]):
        assert "step-000000002 could not be written" in message
        assert "free disk space" in message
        assert kept == "1 1000.0"
    assert [folder.name for folder in (tmp_path / "checkpoints").iterdir()] == ["step-000000001"]


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(TrainingError, match=r"taken.*could not be written"):
        Checkpoints(tmp_path / "taken").save(a_checkpoint(1))
