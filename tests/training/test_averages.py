"""Running average of weights against its formula."""

import pytest
import torch
from torch import nn

from recsys_spark.training.averages import RunningAverage


def test_the_average_follows_its_formula_and_forgets_the_start() -> None:
    module = nn.Linear(2, 1)
    average = RunningAverage(module, 0.9)
    expected = module.weight.detach().clone()
    for step in range(120):
        with torch.no_grad():
            module.weight.fill_(step)
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    torch.testing.assert_close(average.averages["weight"], expected)
    assert expected.min() > 100


def test_averages_replace_the_weights_only_within_the_context() -> None:
    module = nn.Linear(2, 1)
    average = RunningAverage(module, 0.5)
    before = module.weight.detach().clone()
    with torch.no_grad():
        module.weight.add_(3)
    now = module.weight.detach().clone()
    with pytest.raises(ZeroDivisionError), average.in_place():
        assert torch.equal(module.weight, before)
        raise ZeroDivisionError
    assert torch.equal(module.weight, now)
    assert torch.equal(average.averages["weight"], before)


def test_without_a_decay_the_weights_stay() -> None:
    module = nn.Linear(2, 1)
    average = RunningAverage(module, 0.0)
    now = module.weight.detach().clone()
    average.update(0)
    with average.in_place():
        assert torch.equal(module.weight, now)
    assert average.averages == {}
