from __future__ import annotations

import pytest
import torch

from graphpe.errors import GraphPEError, GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs


def build(**changed):
    """Two graphs: a path over nodes 0, 1, 2 and one edge between nodes 3 and 4."""
    content = {
        "edge_index": torch.tensor([[0, 1, 3], [1, 2, 4]]),
        "ptr": torch.tensor([0, 3, 5]),
        "edge_ptr": torch.tensor([0, 2, 3]),
    }
    return PackedGraphs(**(content | changed))


def test_ids_become_int64():
    packed = build(
        edge_index=torch.tensor([[0, 1, 3], [1, 2, 4]], dtype=torch.int32),
        ptr=torch.tensor([0, 3, 5], dtype=torch.int16),
    )
    assert packed.edge_index.dtype == packed.ptr.dtype == packed.select([1]).edge_index.dtype == torch.int64
    assert packed[1].edge_index.tolist() == [[0], [1]]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"edge_index": torch.tensor([0, 1])}, r"edge_index must be \[2, E\], got \[2\]"),
        ({"edge_index": torch.tensor([[0, 1, 3], [1, 3, 4]])}, r"edge 1, \[1, 3\], leaves its graph 0 of nodes 0 to 2"),
        ({"edge_index": torch.tensor([[0, 1, 2], [1, 2, 4]])}, "edge 2"),
        ({"edge_index": torch.tensor([[0, 1, 3], [1, 2, 5]])}, "edge 2"),
        ({"edge_index": torch.tensor([[-1, 1, 3], [1, 2, 4]])}, "edge 0"),
        ({"edge_index": torch.tensor([[0, 1], [1, 2]])}, "edge_ptr ends with 3, but edge_index holds 2 edges"),
        ({"ptr": torch.tensor([0, 5, 3])}, "ptr must be .* never decrease"),
        ({"ptr": torch.tensor([1, 3, 5])}, "begin with 0"),
        ({"ptr": torch.tensor([], dtype=torch.long)}, r"ptr must be \[B \+ 1\]"),
        ({"ptr": torch.tensor([0, 5])}, "ptr is of 1 graphs, edge_ptr of 2"),
        ({"ptr": torch.tensor([0, 3, 5], device="meta")}, "ptr is on meta, edge_index on cpu: move one of them"),
        ({"edge_ptr": torch.tensor([0, 4, 3])}, "edge_ptr must be .* never decrease"),
        ({"edge_weight": torch.ones(3, 1)}, r"edge_weight must be \[3\], got torch.float32 \[3, 1\]"),
        ({"edge_weight": [1.0, 1.0, 1.0]}, "edge_weight must be .* got list"),
        ({"edge_weight": torch.ones(3, device="meta")}, "edge_weight is on meta"),
        ({"node": {"x": torch.ones(4)}}, r"node value 'x' must be \[5"),
        ({"node": {"z": torch.ones(5)}, "graph": {"z": torch.ones(2)}}, "'z' is used in node and in graph"),
        ({"objects": {"name": ["one"]}}, r"objects\['name'\] holds 1 values for 2 graphs"),
        ({"objects": {"batch": ["one", "two"]}}, "reserved"),
    ],
)
def test_wrong_content_is_named_in_one_line(changed, message):
    with pytest.raises(GraphPEValueError, match=message) as caught:
        build(**changed)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, GraphPEError)


@pytest.mark.parametrize("name", ["edge_index", "ptr", "edge_ptr"])
@pytest.mark.parametrize("value", [[0, 3, 5], torch.tensor([0.0, 3.0]), torch.tensor([True, False])])
def test_ids_must_be_tensors_of_integers(name, value):
    with pytest.raises(GraphPETypeError, match=f"{name} must be a tensor of integers"):
        build(**{name: value})


def test_objects_may_have_any_free_name():
    assert build(objects={"node_index": [1, 2]}).select([1]).objects == {"node_index": [2]}
