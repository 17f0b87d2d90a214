from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPEValueError
from graphpe.models.encoders import TreePathEncoding

PATHS = torch.tensor([[0, 0, 0], [1, 0, 0], [2, 0, 0], [2, 1, 0], [2, 1, 4]])


def encoder(**options: int) -> TreePathEncoding:
    module = TreePathEncoding("tree_path_pe", 3, 4, 5, **options).double()
    nn.init.normal_(module.out.weight)
    nn.init.normal_(module.out.bias)
    return module


def by_hand(module: TreePathEncoding, path: list[int]) -> Tensor:
    """The recurrence of gated recurrent units, written out, over the steps of the path alone."""
    state = torch.zeros(module.hidden, dtype=torch.float64)
    for step, child in enumerate(path):
        x = module.child.weight[child] + module.level[step]
        reset_x, update_x, new_x = (module.of_input.weight @ x + module.of_input.bias).chunk(3)
        reset_h, update_h, new_h = (module.of_state.weight @ state + module.of_state.bias).chunk(3)
        update = torch.sigmoid(update_x + update_h)
        new = torch.tanh(new_x + torch.sigmoid(reset_x + reset_h) * new_h)
        state = (1 - update) * new + update * state
    return module.out.weight @ state + module.out.bias


def test_it_is_the_recurrence_over_the_steps_of_each_path() -> None:
    module = encoder(hidden=6)
    expected = torch.stack([by_hand(module, [child for child in path if child]) for path in PATHS.tolist()])
    torch.testing.assert_close(module(Data(tree_path_pe=PATHS)), expected, rtol=1e-9, atol=1e-9)
    assert torch.equal(module(Data(tree_path_pe=PATHS))[0], module.out.bias)  # of a root


def test_padding_changes_nothing_and_gets_no_gradient() -> None:
    module = encoder(hidden=6)
    longer = TreePathEncoding("tree_path_pe", 5, 4, 5, hidden=6).double()
    longer.load_state_dict({**module.state_dict(), "level": torch.cat([module.level, torch.randn(2, 6)])})
    padded = torch.cat([PATHS, torch.zeros(5, 2, dtype=torch.long)], dim=1)
    expected = module(Data(tree_path_pe=PATHS))
    torch.testing.assert_close(longer(Data(tree_path_pe=padded)), expected, rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        module.child.weight[0] = 1e6
    torch.testing.assert_close(module(Data(tree_path_pe=PATHS)), expected, rtol=1e-12, atol=1e-12)
    module(Data(tree_path_pe=PATHS[:4])).square().sum().backward()
    assert not module.child.weight.grad[0].any()
    assert module.child.weight.grad[1].any()
    assert module.level.grad[1].any()
    assert not module.level.grad[2].any()  # no path is so long


def test_it_starts_at_zero_and_gradients_are_right() -> None:
    module = TreePathEncoding("tree_path_pe", 3, 4, 5)
    out = module(Data(tree_path_pe=PATHS))
    assert torch.equal(out, torch.zeros(5, 5))
    (out + 1).square().sum().backward()
    assert module.out.weight.grad.any()
    module = encoder(hidden=3)

    def of(child: Tensor, level: Tensor) -> Tensor:
        weights = {"child.weight": child, "level": level}
        return torch.func.functional_call(module, weights, (Data(tree_path_pe=PATHS),))

    assert torch.autograd.gradcheck(of, (module.child.weight, module.level))


def test_a_batch_gives_what_its_graphs_give() -> None:
    module = encoder()
    graphs = [Data(tree_path_pe=PATHS[part], num_nodes=len(PATHS[part])) for part in (slice(2), slice(0), slice(2, 5))]
    alone = torch.cat([module(graph) for graph in graphs])
    torch.testing.assert_close(module(Batch.from_data_list(graphs)), alone, rtol=1e-9, atol=1e-9)
    order = torch.randperm(5)
    torch.testing.assert_close(module(Data(tree_path_pe=PATHS[order])), alone[order], rtol=1e-9, atol=1e-9)
    assert module(Data(tree_path_pe=PATHS[:0])).shape == (0, 5)


def test_half_precision() -> None:
    assert encoder().float().bfloat16()(Data(tree_path_pe=PATHS)).isfinite().all()
    with torch.autocast("cpu", torch.bfloat16):
        assert encoder().float()(Data(tree_path_pe=PATHS)).isfinite().all()


def test_errors() -> None:
    with pytest.raises(GraphPEValueError, match=r"no `tree_path_pe`: add T.TreePathPE\(max_depth=3\)"):
        encoder()(Data(num_nodes=2))
    with pytest.raises(GraphPEValueError, match=r"tree_path_pe\[4, 2\] is 4, but .* from 0 to 3"):
        TreePathEncoding("tree_path_pe", 3, 3, 5)(Data(tree_path_pe=PATHS))
    with pytest.raises(GraphPEValueError, match=r"holds torch\.float32, not the integers of T\.TreePathPE"):
        encoder()(Data(tree_path_pe=PATHS.float()))
    assert repr(encoder(hidden=7)) == "TreePathEncoding(hidden=7)"
