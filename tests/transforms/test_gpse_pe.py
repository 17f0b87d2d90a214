from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GPSE
from torch_geometric.transforms import AddGPSE

from graphpe import transforms as T
from graphpe.errors import GraphPERuntimeError, GraphPETypeError, GraphPEValueError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A file of weights in the layout of the download; the weights are random."""
    folder = tmp_path_factory.mktemp("gpse")
    torch.manual_seed(0)
    state = {f"model.{key}": value for key, value in GPSE().state_dict().items()}
    torch.save({"model_state": state}, folder / "gpse_model_zinc_1.0.pt")
    return str(folder)


def ring(n: int) -> Data:
    nodes = torch.arange(n)
    edges = torch.stack([nodes, (nodes + 1) % n])
    return Data(edge_index=torch.cat([edges, edges.flip(0)], dim=1), num_nodes=n)


def test_what_pyg_computes_from_the_same_features(root):
    out = T.GPSEPE("zinc", root=root, seed=5)(ring(6)).gpse_pe
    assert out.shape == (6, 512)
    draws = np.random.default_rng([5]).standard_normal((6, 20))
    np.random.seed(0)  # noqa: NPY002
    original = np.random.normal
    try:
        # PyG draws from NumPy's global generator, one row more, for the virtual node, which it sets to zero.
        np.random.normal = lambda loc, scale, size: np.concatenate([draws, np.zeros((1, 20))])
        expected = AddGPSE(GPSE.from_pretrained("zinc", root))(ring(6)).pestat_GPSE
    finally:
        np.random.normal = original
    torch.testing.assert_close(out, expected.detach(), atol=1e-5, rtol=1e-4)


def test_batch_is_the_batch_of_single_graphs(root):
    graphs = [ring(3), Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=2), ring(5)]
    whole = T.GPSEPE("zinc", root=root)(Batch.from_data_list(graphs)).gpse_pe
    one = T.GPSEPE("zinc", root=root)
    torch.testing.assert_close(whole, torch.cat([one(graph).gpse_pe for graph in graphs]), atol=1e-5, rtol=1e-4)
    assert len(pickle.dumps(one)) < 10_000
    assert not one(ring(3)).gpse_pe.requires_grad


def test_errors(tmp_path):
    with pytest.raises(GraphPEValueError, match="weights must be one of 'molpcba', 'zinc'"):
        T.GPSEPE("imagenet")
    with pytest.raises(GraphPETypeError, match="root must be a string, got None"):
        T.GPSEPE(root=None)
    (tmp_path / "gpse_model_geom_1.0.pt").write_bytes(b"no weights")
    with pytest.raises(GraphPERuntimeError, match=r"GPSE's weights could not be read .* download https://zenodo"):
        T.GPSEPE("geom", root=str(tmp_path))(ring(3))
