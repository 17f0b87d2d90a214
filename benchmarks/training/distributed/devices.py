"""The devices of a run, through Lightning Fabric."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.strategies.parallel import ParallelStrategy

from graphpe.benchmarks.training.config import TrainConfig
from graphpe.errors import GraphPERuntimeError, GraphPEValueError

# A process that dies is noticed by the one that started it; one that takes long to read its data is not dead.
_PATIENCE = timedelta(days=7)

_NOT_EVERYWHERE = ("16-mixed", "64-true")


def make_fabric(config: TrainConfig) -> Fabric:
    """Fabric on the devices asked for; no process is started.

    Raises:
        GraphPERuntimeError: If there are no such devices, or they cannot do that precision.
    """
    if config.precision in _NOT_EVERYWHERE:
        device = _fabric(replace(config, precision="32-true")).device.type  # Fabric would say that it takes another one
        if config.precision == "16-mixed" and device == "cpu":
            raise GraphPEValueError("precision='16-mixed' needs a GPU: on a CPU use --precision bf16-mixed, or 32-true")
        if config.precision == "64-true" and device == "mps":
            raise GraphPEValueError("precision='64-true' does not exist on mps: use 32-true, or --accelerator cpu")
    return _fabric(config)


def _fabric(config: TrainConfig) -> Fabric:
    several = config.devices * config.nodes > 1
    try:
        return Fabric(
            accelerator=config.accelerator,
            devices=config.devices,
            num_nodes=config.nodes,
            precision=config.precision,
            # Some architectures have weights that a task does not use, such as those for pairs.
            strategy=DDPStrategy(timeout=_PATIENCE, find_unused_parameters=True) if several else "auto",
        )
    except Exception as error:  # Fabric has an exception of its own for each kind of device
        raise GraphPERuntimeError(
            f"cannot use {config.devices} device(s) of accelerator={config.accelerator!r} "
            f"with precision={config.precision!r}: {error}; try --accelerator cpu --devices 1"
        ) from None


def started_from_outside(fabric: Fabric) -> bool:
    """Whether torchrun or SLURM has started this process as one of several."""
    strategy = fabric.strategy
    environment = strategy.cluster_environment if isinstance(strategy, ParallelStrategy) else None
    return environment is not None and environment.creates_processes_externally
