"""Predictions of a run about links: for the pairs that somebody asks for, in a graph of known edges."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphpe.benchmarks.calls.build import split_encodings
from graphpe.benchmarks.tasks.links.link_data import LinkAdapter
from graphpe.benchmarks.tasks.links.model import LinkModel, pair_features
from graphpe.benchmarks.training.batch_transform import BatchTransform, encode_graphs
from graphpe.errors import GraphPEValueError
from graphpe.files.reading import check_file
from graphpe.files.unpickling import load_saved
from graphpe.graphs.packed import PackedGraphs
from graphpe.pairs.asked import check_pairs
from graphpe.structure.plan import Plan
from graphpe.transforms.base import Encoding, LinkEncoding

_AT_ONCE = 1 << 16


def predict_links(
    model: LinkModel, adapter: LinkAdapter, encodings: Sequence[Encoding], source: Any, device: torch.device
) -> Any:
    """A table with a row for each pair that a graph asks for: `source`, `target`, `probability_link`.

    Args:
        model: The model.
        adapter: The two ends of it.
        encodings: The encodings of the run.
        source: A `Data` with known edges `edge_index`, features `x` and pairs `edge_label_index`; or the path of a file
            of `torch.save` with one.
        device: Where the model computes.

    Raises:
        GraphPEError: It is something else, or asks for nodes that are not there.
    """
    import pandas

    graph = _asked(source)
    graphs = PackedGraphs.from_data(graph, keys=["x"] if graph.get("x") is not None else [])
    if "x" not in graphs.node and not adapter.node_channels:
        graphs = graphs.with_values(node={"x": torch.zeros(graphs.num_nodes, 1, dtype=torch.long)})
    graphs, wrong = adapter.check_inputs(graphs)
    if wrong:
        raise GraphPEValueError(wrong[0])
    pairs = graph.edge_label_index
    check_pairs(pairs, graphs.num_nodes, "edge_label_index")
    of_nodes, of_pairs = split_encodings(encodings)
    encoded = encode_graphs(graphs, of_nodes, progress=False)
    asked = [each for each in encodings if isinstance(each, LinkEncoding) and each.pairs is not None]
    batch = BatchTransform(of_pairs, adapter)(encoded.to(device)).to_batch()
    plan = Plan(graphs.structure())
    vectors = model.model(batch)
    rows: list[Tensor] = [torch.zeros(0, 1)]
    for some in pairs.long().split(_AT_ONCE, dim=1):
        features = pair_features(asked, plan, some).to(device) if asked else None
        rows.append(adapter.predict(model.score(vectors, some.to(device), features)).cpu())
    places = {"source": pairs[0].tolist(), "target": pairs[1].tolist()}
    return pandas.DataFrame(places | dict(adapter.columns(torch.cat(rows), graphs)))


def _asked(source: Any) -> Data:
    paths = [source] if isinstance(source, str | Path) else source
    if isinstance(paths, list | tuple) and len(paths) == 1 and isinstance(paths[0], str | Path):
        path = Path(paths[0]).expanduser()
        check_file(path)
        source = load_saved(path)
        source = source[0] if isinstance(source, list | tuple) and len(source) == 1 else source
    if not isinstance(source, Data):
        raise GraphPEValueError(
            f"a run about links is asked with one Data, or the file of one, got {type(source).__name__}"
        )
    for key, what in (("edge_index", "the known edges"), ("edge_label_index", "the pairs that are asked for")):
        if source.get(key) is None:
            raise GraphPEValueError(f"the graph has no {key}, {what}: it has {list(source.keys())}")
    return source
