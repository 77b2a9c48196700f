"""Fixtures of the tests of training."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Restore the number of torch threads, which a training run changes."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
