"""Codes of the song autoencoder in numpy, compared with those of torch."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from recsys_spark.core.errors import MissingInputError
from recsys_spark.inference.autoencoder_codes import AutoencoderCodes
from recsys_spark.inference.network_scorer import NetworkScorer
from recsys_spark.networks.network import Shape
from recsys_spark.networks.settings.song_autoencoder import SongAutoencoderSettings
from recsys_spark.networks.song_autoencoder import SongAutoencoder
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import Histories, UserBlock


@pytest.mark.parametrize(("activation", "normalise"), [("relu", False), ("tanh", True)])
def test_the_codes_are_those_of_the_network(tmp_path: Path, activation: str, normalise: bool) -> None:
    torch.manual_seed(1)
    settings = SongAutoencoderSettings.model_validate(
        {"units": 4, "activation": activation, "normalise_input": normalise}
    )
    shape = Shape(3, 6)
    network = SongAutoencoder(settings, shape)
    assert network.first.bias is not None
    torch.nn.init.normal_(network.first.bias)
    network.column_counts[:5] = 1
    save_file(
        {name: tensor.contiguous() for name, tensor in network.state_dict().items()}, tmp_path / "weights.safetensors"
    )
    described = {"kind": "song_autoencoder", "settings": settings.model_dump(mode="json"), "shape": list(shape)}
    (tmp_path / "network.json").write_text(json.dumps({**described, "lowest": 0.0, "highest": 1.0}))
    # Item 5 has no training data, item 9 is newer than the network; users without a usable item have no code.
    histories = [[0, 3, 5], [5], [9], [2, 9], []]
    indptr = np.cumsum([0, *map(len, histories)])
    items = np.array([item for history in histories for item in history], np.int32)
    block = UserBlock(None, Histories(indptr, items, np.ones(items.size, np.float32)))
    rows, codes = AutoencoderCodes.open(tmp_path, np.unique(items)).vectors(block)
    matrix = ItemMatrix(str(tmp_path), 6, 5, 8, "none")
    expected_rows, expected = NetworkScorer(str(tmp_path), matrix).vectors(block)
    assert rows.tolist() == expected_rows.tolist() == [0, 3]
    np.testing.assert_allclose(codes, expected, rtol=1e-5, atol=1e-6)


def test_a_folder_without_a_network_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no trained network"):
        AutoencoderCodes.open(tmp_path, np.zeros(1, np.int32))
