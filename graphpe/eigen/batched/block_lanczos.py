"""Block Lanczos with eight vectors at a time, on a power of the inverse of a factored sparse matrix.

The vectors of a block stand in the lanes of the vector registers (see `graphpe.eigen.batched.lane_blocks`): a solve
with the factors treats eight right-hand sides at the price of one, and an eigenvalue of up to eight copies is found
with all of them. Every block is made orthogonal to all those before it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphpe.compiled.jit import machine_code
from graphpe.compiled.lanes import LANES, empty_lanes, load, store
from graphpe.eigen.batched.lane_blocks import Modes, Small, orthonormalise, set_identity, whiten
from graphpe.eigen.batched.ldl import Inverse, solve_lanes
from graphpe.structure.adjacency import Floats

# Solving costs little beside keeping a basis orthogonal: a power of the inverse separates more per block. Rounding
# grows with that power of the ratio of the wanted eigenvalues; what it does to their vectors is mended at the end.
_POWER = 5


@machine_code
def extend(
    basis: Floats, projected: NDArray[Any], small: Small, inverse: Inverse, modes: Modes, first: int, blocks: int
) -> int:
    """Go on from `first` to `blocks` blocks; how many there are then: fewer where the space is exhausted.

    Args:
        basis: Lanes, `blocks + 1` blocks one after the other; those after `first` are written.
        projected: `[8 blocks, 8 blocks]`: the power of the inverse in that basis; the part after `first` is written.
        small: See `Small`; its first matrix becomes the coefficients that couple the next block, `[8, 8]`, zero where
            there is none.
        inverse: The inverse that is meant.
        modes: See `Modes`.
        first: Blocks that are done, and coupled to the next one.
        blocks: Blocks that are wanted.
    """
    size, parts = modes.vector.shape
    block = parts * size
    sums = empty_lanes(2 * modes.supports)
    coupling, within = small.matrices[0], small.matrices[1]
    if first == 0:
        state = np.uint64(size)
        for e in range(LANES * block):
            state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
            basis[e] = float(state >> np.uint64(11)) * 2.0**-52 - 1.0
    done = first if first > 0 else -1  # the block that is drawn is no result yet
    while True:
        new = (done + 1) * block
        # Where eigenvalues of the power are too far apart for one block, it is kept well conditioned on the way.
        for careful in range(2):
            independent = True
            set_identity(coupling)
            if done >= 0:
                for e in range(block):
                    store(basis, new + e, load(basis, new - block + e))
                for solve in range(_POWER):
                    solve_lanes(inverse, basis, new)
                    if careful == 1 and solve % 2 == 1:
                        independent = independent and whiten(basis, new, size, modes, sums, small)
            independent = independent and orthonormalise(basis, done + 1, size, modes, sums, small)
            if independent:
                break
        if done < 0:
            if not independent:
                return 0
            done = 0
            continue
        at = LANES * done
        for i in range(LANES):
            for m in range(i + 1):
                projected[at + i, at + m] = within[i, m]
                projected[at + m, at + i] = np.conj(within[i, m])
        done += 1
        if not independent:
            coupling[:] = 0
            return done
        if done == blocks:
            return done
        couple(projected, coupling, done)


@machine_code
def couple(projected: NDArray[Any], coupling: NDArray[Any], done: int) -> None:
    """Write what couples the last of the blocks that are done to the next one.

    Args:
        projected: The projected matrix, written to.
        coupling: What couples them, `[LANES, LANES]`.
        done: Number of blocks that are done.
    """
    at = LANES * done
    for i in range(LANES):
        for m in range(LANES):
            projected[at + i, at - LANES + m] = coupling[i, m]
            projected[at - LANES + m, at + i] = np.conj(coupling[i, m])
