from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpe.errors import GraphPEValueError
from graphpe.spectra.signs import orient

SIZES = [5, 1, 8, 3]
BATCH = torch.repeat_interleave(torch.arange(len(SIZES)), torch.tensor(SIZES))


def unit_vectors(seed: int, is_complex: bool, k: int = 6) -> torch.Tensor:
    """Columns of unit norm in each graph, the last one padding."""
    generator = torch.Generator().manual_seed(seed)
    dtype = torch.complex128 if is_complex else torch.float64
    vectors = torch.randn(sum(SIZES), k, dtype=dtype, generator=generator)
    norm = torch.zeros(len(SIZES), k, dtype=torch.float64).index_add_(0, BATCH, vectors.abs() ** 2).sqrt()
    vectors = vectors / norm[BATCH]
    vectors[:, -1] = 0
    return vectors


def factors(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """By what each eigenvector of each graph was multiplied: one number, of modulus 1."""
    inner = torch.zeros(len(SIZES), before.size(1), dtype=before.dtype).index_add_(0, BATCH, before.conj() * after)
    torch.testing.assert_close(before * inner[BATCH], after)
    torch.testing.assert_close(inner[:, :-1].abs(), torch.ones(len(SIZES), before.size(1) - 1, dtype=torch.float64))
    return inner


@pytest.mark.parametrize("is_complex", [False, True])
def test_random_factors_are_fresh_seeded_and_fair(is_complex):
    vectors = unit_vectors(1, is_complex)
    rng = np.random.default_rng(3)
    drawn = [factors(vectors, orient(vectors, BATCH, len(SIZES), "random", rng))[:, :-1] for _ in range(300)]
    again = np.random.default_rng(3)
    assert torch.equal(drawn[0], factors(vectors, orient(vectors, BATCH, len(SIZES), "random", again))[:, :-1])
    assert not torch.equal(drawn[0], drawn[1])
    everything = torch.stack(drawn)
    assert everything.mean(0).abs().max() < 0.3  # 5 standard deviations
    if is_complex:
        assert (everything**2).mean(0).abs().max() < 0.3  # phases, not only signs


@pytest.mark.parametrize("is_complex", [False, True])
def test_graphs_one_by_one_draw_what_the_batch_draws(is_complex):
    vectors = unit_vectors(2, is_complex)
    whole = orient(vectors, BATCH, len(SIZES), "random", np.random.default_rng(9))
    rng = np.random.default_rng(9)
    parts = [orient(part, torch.zeros(len(part), dtype=torch.long), 1, "random", rng) for part in vectors.split(SIZES)]
    assert torch.equal(whole, torch.cat(parts))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31), is_complex=st.booleans())
def test_canonical_undoes_any_sign_or_phase_and_any_order(seed, is_complex):
    vectors = unit_vectors(seed, is_complex)
    canonical = orient(vectors, BATCH, len(SIZES), "canonical")
    factors(vectors, canonical)
    turned = orient(vectors, BATCH, len(SIZES), "random", np.random.default_rng(seed))
    torch.testing.assert_close(orient(turned, BATCH, len(SIZES), "canonical"), canonical)
    order = torch.cat([p + torch.randperm(n) for p, n in zip([0, 5, 6, 14], SIZES, strict=True)])
    torch.testing.assert_close(orient(turned[order], BATCH, len(SIZES), "canonical"), canonical[order])


def test_canonical_makes_the_second_moment_positive():
    vector = torch.tensor([[-0.8], [0.6], [0.0]], dtype=torch.float64)
    batch = torch.zeros(3, dtype=torch.long)
    assert orient(vector, batch, 1, "canonical").flatten().tolist() == [0.8, -0.6, 0.0]
    phase = torch.polar(torch.tensor(1.0), torch.tensor(2.0)).to(torch.complex128)
    turned = orient(vector.to(phase.dtype) * phase, batch, 1, "canonical")
    torch.testing.assert_close(turned, -vector.to(phase.dtype))


def test_canonical_falls_back_to_other_moments():
    # sum v|v| = 0 to rounding: 3^2 + 4^2 = 5^2. The sum, 3 + 4 - 5 > 0, decides.
    vector = torch.tensor([[3.0], [4.0], [-5.0]], dtype=torch.float64) / 50**0.5
    batch = torch.zeros(3, dtype=torch.long)
    for sign in (1, -1):
        assert torch.equal(orient(sign * vector, batch, 1, "canonical"), vector)
    noisy = vector + 1e-9 * torch.tensor([[-1.0], [-1.0], [-1.0]])
    torch.testing.assert_close(orient(-noisy, batch, 1, "canonical"), noisy)


def test_canonical_leaves_antisymmetric_vectors_alone():
    vector = torch.tensor([[0.5], [-0.5], [-0.5], [0.5]], dtype=torch.float64)
    batch = torch.zeros(4, dtype=torch.long)
    for noise in (0.0, 1e-12):
        noisy = vector + noise * torch.tensor([[1.0], [0.0], [0.0], [0.0]])
        assert torch.equal(orient(noisy, batch, 1, "canonical"), noisy)
        assert torch.equal(orient(-noisy, batch, 1, "canonical"), -noisy)


def test_none_changes_nothing_and_inputs_stay():
    vectors = unit_vectors(4, False)
    before = vectors.clone()
    assert orient(vectors, BATCH, len(SIZES), "none") is vectors
    for convention in ("canonical", "random"):
        orient(vectors, BATCH, len(SIZES), convention, np.random.default_rng(1))
        assert torch.equal(vectors, before)


def test_no_graphs():
    nothing = torch.zeros(0, 3)
    assert orient(nothing, torch.zeros(0, dtype=torch.long), 0, "canonical").shape == (0, 3)
    assert orient(nothing, torch.zeros(0, dtype=torch.long), 0, "random", np.random.default_rng(1)).shape == (0, 3)


def test_errors():
    vectors = unit_vectors(4, False)
    with pytest.raises(GraphPEValueError, match="sign must be one of 'random', 'canonical', 'none', got 'fixed'"):
        orient(vectors, BATCH, len(SIZES), "fixed")
    with pytest.raises(GraphPEValueError, match="needs a generator"):
        orient(vectors, BATCH, len(SIZES), "random")
