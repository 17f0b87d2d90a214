from __future__ import annotations

import math

import torch

from graphpe.models.encoders.learned.fixed_normals import fixed_normals

MASK = 2**64 - 1


def by_whole_numbers(place: int, column: int, seed: int) -> float:
    """The same by Python's integers, which have no end."""

    def mixed(word: int) -> int:
        word = (word + 0x9E3779B97F4A7C15) & MASK
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & MASK
        return word ^ (word >> 31)

    counter = place * 2**23 + 2 * column
    first, second = ((mixed((mixed(counter + half) + seed) & MASK) >> 40) + 0.5 for half in (0, 1))
    return math.sqrt(-2 * math.log(first * 2.0**-24)) * math.cos(2 * math.pi * second * 2.0**-24)


def test_each_number_is_that_of_its_place() -> None:
    for seed in (0, 5, 2**63, 2**64 - 1):
        found = fixed_normals(torch.tensor([0, 3, 2**20]), 4, seed)
        expected = [[by_whole_numbers(place, column, seed) for column in range(4)] for place in (0, 3, 2**20)]
        torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-4, atol=1e-4)
        assert torch.equal(fixed_normals(torch.tensor([3]), 2, seed)[0], found[1, :2])


def test_they_are_standard_normal_and_independent() -> None:
    values = fixed_normals(torch.arange(5000), 40, 11)  # a fixed sample: 200,000 numbers
    other = fixed_normals(torch.arange(5000), 40, 12)
    tolerance = 5 / math.sqrt(values.numel())
    assert abs(float(values.mean())) < tolerance
    assert abs(float(values.square().mean()) - 1) < 2 * tolerance
    share = float((values < 1).float().mean())
    assert abs(share - 0.841345) < tolerance
    for a, b in ((values[1:], values[:-1]), (values[:, 1:], values[:, :-1]), (values, other)):
        assert abs(float((a * b).mean())) < 1.1 * tolerance
    assert fixed_normals(torch.arange(0), 3, 0).shape == (0, 3)
