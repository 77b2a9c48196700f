"""What all tests of the training room share."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """So that sums are made in one order."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
