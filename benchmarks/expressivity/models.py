"""How many pairs of graphs a model with random weights tells apart, or one that is trained to tell each pair apart.

A model has no features but the types of nodes, a linear head with as many outputs as the test takes, and computes in
double precision, in evaluation mode: dropout is off, and batch normalisation, which has seen nothing, is the identity.
Parameters that start at zero (biases, maps that are switched off before training) are drawn from N(0, 0.3^2): a model
is to use all that it has. What remains random in evaluation (random node features) is drawn anew for every graph.

Pairs are compared by the test of `graphpe.benchmarks.expressivity.paired_test`; beside it stands what differs by more
than rounding, ten times the largest change that a renumbering makes: what an architecture can tell apart with its
weights, however faintly. In a set of more pairs than
`MOST_TESTED` (graph8c) all graphs are compared through outputs of one numbering each, which must differ by ten times
what a renumbering changes; other renumberings are controls, as for encodings.

The test as published trains a model of its own for each pair: `epochs`. Cosines of the outputs of the two graphs are
pushed below 0 (cosine embedding loss, margin 0) by Adam with learning rate and weight decay 1e-4, eight pairs of
renumberings a step, until the loss is below 0.2. Then the same renumberings are tested. Differs from the released code:
double precision, parameters at zero are drawn, and the learning rate stays as it is (there it falls after ten epochs
without a gain). Training finds differences that random weights make small; what no weights can show, it cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Batch

from graphpe.benchmarks.calls.build import build_encodings, build_model
from graphpe.benchmarks.calls.parts import Learned
from graphpe.benchmarks.expressivity.graph_sets import GraphSet, renumbered
from graphpe.benchmarks.expressivity.paired_test import LEAST_DIFFERENCE, OUTPUTS, RENUMBERINGS, told_apart
from graphpe.benchmarks.expressivity.pairs import CONTROLS, MARGIN, NOT_INVARIANT, Pairs, counted, differing
from graphpe.benchmarks.expressivity.sets import Case
from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.compiled.jit import everything_compiled
from graphpe.graphs.packed import PackedGraphs
from graphpe.graphs.ragged import Ints
from graphpe.transforms.base import Encoding, encode_all

MOST_TESTED = 20_000

ROUNDING = 1e-15
"""Of the outputs' size: the least that a renumbering is taken to change."""

_CHUNK_PAIRS = 1 << 17
_SAMPLE = 100
_STEP = 8
_ENOUGH = 0.2


@dataclass(frozen=True)
class ModelVerdict:
    """What a model tells apart in a set.

    Attributes:
        case: The model and its encodings.
        dataset: The set.
        pairs: Pairs that were compared.
        apart: Pairs that are told apart, for each seed; empty where the outputs are random, and the set too large for
            the test.
        union: Pairs that are told apart with at least one of the seeds.
        alarms: Pairs that do not count because a graph is told apart from itself, for each seed.
        beyond: Of those that some seed tells apart, by the test or to rounding, pairs that should be alike.
        exact: Pairs whose outputs differ by more than rounding, for each seed; empty where outputs are random or
            trained.
    """

    case: Case
    dataset: str
    pairs: int
    apart: tuple[int, ...]
    union: int | None
    alarms: tuple[int, ...]
    beyond: int = 0
    exact: tuple[int, ...] = ()


class PairAdapter(GraphAdapter):
    """The two ends of a model whose outputs are compared: types of nodes, and a linear head."""

    def head(self, width: int) -> nn.Module:
        """One linear map."""
        return nn.Linear(width, self.targets)


def compare_model(
    case: Case, data: GraphSet, *, seeds: int = 3, epochs: int = 0, seed: int = 0, alike: Pairs | None = None
) -> ModelVerdict:
    """How many pairs of a set a model tells apart.

    Args:
        case: The model and its encodings.
        data: The set.
        seeds: How many initialisations, seeded from 0 on.
        epochs: Most epochs of training for each pair; 0: random weights.
        seed: Of the renumberings.
        alike: Pairs that should not be told apart, `[pairs, 2]`, by what is known of the model and its encodings.

    Raises:
        GraphPEValueError: The model does not take these encodings.
    """
    rng = np.random.default_rng(seed)
    alike = np.zeros((0, 2), dtype=np.int64) if alike is None else alike
    with torch.random.fork_rng(devices=[]), everything_compiled():
        model = _Model(case, int(data.graphs.node["x"].max()) + 1, seeds)
        if data.pairs > MOST_TESTED and not epochs:
            return _by_distance(model, data, rng, alike)
        apart, alarms, exact = _trained(model, data, epochs, rng) if epochs else _tested(model, data, rng)
    apart = apart & ~alarms
    counts = [tuple(each.sum(1).tolist()) for each in (apart, alarms, *([] if exact is None else [exact]))]
    told = apart.any(0)
    some = told if exact is None else told | exact.any(0)
    same = np.isin(data.pair_index() @ [len(data.graphs), 1], alike @ [len(data.graphs), 1])
    beyond = int(some.numpy()[same].sum())
    fine = counts[2] if exact is not None else ()
    return ModelVerdict(case, data.name, data.pairs, counts[0], int(told.sum()), counts[1], beyond, fine)


def check_case(case: Case) -> None:
    """Check that a model can be built with its encodings.

    Args:
        case: The model and its encodings.

    Raises:
        GraphPEValueError: It cannot.
    """
    with torch.random.fork_rng(devices=[]):
        _Model(case, 1, 1)


class _Model:
    """A model with the weights of several seeds, in double precision, and batches that it reads."""

    def __init__(self, case: Case, types: int, seeds: int) -> None:
        self.case, self.types, self.seeds = case, types, seeds
        self.encodings: list[Encoding] = build_encodings(case.encodings.split(" + "))
        self.computed = [each for each in self.encodings if not isinstance(each, Learned)]
        self.of_seeds = [self.drawn(seed) for seed in range(seeds)]

    def drawn(self, seed: int) -> nn.Module:
        """The model with weights of a seed."""
        torch.manual_seed(seed)
        adapter = PairAdapter((self.types,), (), OUTPUTS, "binary")  # scores as they are
        model = build_model(self.case.model, adapter, self.encodings, encoder=self.case.encoder)
        for parameter in model.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.3)
        return model.double().eval()

    def batch(self, graphs: PackedGraphs) -> Batch:
        """Graphs, encoded in double precision."""
        plain = graphs.structure()
        for values in encode_all(plain, self.computed, plain.objects) if self.computed else []:
            of_nodes = {key: value for key, value in values.node.items() if key is not None}
            graphs = graphs.with_values(node=of_nodes, graph=values.graph, pair=values.pair)
        return graphs.to_batch()

    @torch.no_grad()
    def outputs(self, graphs: PackedGraphs) -> Tensor:
        """`[seeds, B, OUTPUTS]`."""
        cuts = np.searchsorted(graphs.pair_ptr.numpy(), np.arange(_CHUNK_PAIRS, graphs.num_pairs, _CHUNK_PAIRS))
        parts = []
        for start, end in pairwise(np.unique([0, *cuts.tolist(), len(graphs)]).tolist()):
            batch = self.batch(graphs.select(slice(start, end)))
            parts.append(torch.stack([model(batch) for model in self.of_seeds]))
        return torch.cat(parts, dim=1)

    def of_renumberings(self, graphs: PackedGraphs, ids: Ints, rng: np.random.Generator) -> Tensor:
        """Outputs for renumberings of some graphs, `[seeds, graphs, RENUMBERINGS, OUTPUTS]`."""
        found = self.outputs(renumbered(graphs.select(ids.repeat(RENUMBERINGS)), rng))
        return found.view(self.seeds, len(ids), RENUMBERINGS, OUTPUTS)


def _tested(model: _Model, data: GraphSet, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor | None]:
    """Pairs told apart, graphs told apart from themselves, and pairs told apart to rounding: `[seeds, P]`."""
    first, second = torch.from_numpy(data.pair_index()).T
    found = model.of_renumberings(data.graphs, np.arange(len(data.graphs)), rng)
    ids, place = first.unique(return_inverse=True)
    controls = model.of_renumberings(data.graphs, ids.numpy(), rng)
    apart = torch.stack([told_apart(each[first], each[second]) for each in found])
    alarms = torch.stack([told_apart(each[ids], control) for each, control in zip(found, controls, strict=True)])
    one, size = found[:, :, 0], found.square().mean((1, 2, 3)).sqrt()[:, None]
    change = (found - one[:, :, None]).abs().amax((2, 3)).amax(1, keepdim=True) / size
    if float(change.max()) > NOT_INVARIANT:
        return apart, alarms[:, place], None
    radius = size * MARGIN * change.clamp_min(ROUNDING)
    wrong = (controls - one[:, ids, None]).abs().amax((2, 3)) > radius
    differ = (one[:, first] - one[:, second]).abs().amax(2) > radius
    return apart, alarms[:, place], differ & ~wrong[:, place]


def _trained(model: _Model, data: GraphSet, epochs: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, None]:
    """The same of a model for each pair that is trained to tell its graphs apart."""
    apart, alarms = (torch.zeros(model.seeds, data.pairs, dtype=torch.bool) for _ in range(2))
    for number, pair in enumerate(data.pair_index()):
        copies = renumbered(data.graphs.select(np.tile(pair, RENUMBERINGS)), rng)
        steps = [model.batch(copies.select(slice(k, k + 2 * _STEP))) for k in range(0, 2 * RENUMBERINGS, 2 * _STEP)]
        control = model.batch(renumbered(data.graphs.select(pair[:1].repeat(RENUMBERINGS)), rng))
        for seed in range(model.seeds):
            of_pair = model.drawn(seed)
            _train(of_pair, steps, epochs)
            with torch.no_grad():
                outputs = torch.cat([of_pair(batch) for batch in steps])
                first, second, other = outputs[0::2], outputs[1::2], of_pair(control)
            apart[seed, number] = told_apart(first[None], second[None])[0]
            alarms[seed, number] = told_apart(first[None], other[None])[0]
    return apart, alarms, None


def _train(model: nn.Module, steps: Sequence[Batch], epochs: int) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, weight_decay=1e-4)
    model.train()
    for _ in range(epochs):
        total = 0.0
        for batch in steps:
            optimizer.zero_grad()
            outputs = model(batch)
            first, second = outputs[0::2], outputs[1::2]
            loss = functional.cosine_embedding_loss(first, second, -torch.ones(len(first)))
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) / len(steps)
        if total < _ENOUGH:
            break
    model.eval()


def _by_distance(model: _Model, data: GraphSet, rng: np.random.Generator, alike: Pairs) -> ModelVerdict:
    """All pairs of a large set, through outputs of one numbering of each graph."""
    some = data.graphs.select(np.arange(min(_SAMPLE, len(data.graphs))))  # a look at whether outputs are random
    first, second = (model.outputs(graphs) for graphs in (some, renumbered(some, np.random.default_rng(0))))
    if float((first - second).abs().max() / first.square().mean().sqrt()) > NOT_INVARIANT:
        return ModelVerdict(model.case, data.name, data.pairs, (), None, ())
    found = model.outputs(data.graphs).numpy()
    size = np.sqrt(np.square(found).mean((1, 2), keepdims=True))
    found = found / size
    changes = [np.abs(model.outputs(renumbered(data.graphs, rng)).numpy() / size - found) for _ in range(1 + CONTROLS)]
    change = changes[0].max((1, 2), keepdims=True)
    if change.max() > NOT_INVARIANT:
        return ModelVerdict(model.case, data.name, data.pairs, (), None, ())
    exact = MARGIN * np.maximum(change, ROUNDING)
    each, fine, over = [], [], np.zeros(len(alike), dtype=bool)
    wide = np.maximum(exact, LEAST_DIFFERENCE)
    wrong = (np.stack(changes[1:]) > wide).any((0, 3))
    for seed, of_seed in enumerate(found):
        each.append(counted(of_seed / wide[seed], wrong[seed], 1.0, data))
        odd = (np.stack(changes[1:])[:, seed] > exact[seed]).any((0, 2))
        fine.append(counted(of_seed / exact[seed], odd, 1.0, data)[0])
        over |= differing(of_seed / exact[seed], odd, 1.0, alike)
    together = counted(np.concatenate(found / wide, axis=1), wrong.any(0), 1.0, data)[0]
    apart, alarms = (tuple(numbers) for numbers in zip(*each, strict=True))
    beyond = int(over.sum())
    return ModelVerdict(model.case, data.name, data.pairs, apart, together, alarms, beyond, tuple(fine))
