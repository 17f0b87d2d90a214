"""Starting from the weights of another run: what fits is taken, the rest begins anew, and the head of other targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graphpe.benchmarks.pretraining.auxiliary import TwoHeads
from graphpe.benchmarks.tasks.links.model import LinkModel
from graphpe.benchmarks.tasks.task import TaskAdapter
from graphpe.benchmarks.training.checkpoints.file import load_checkpoint
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.calls import parse_call
from graphpe.errors import GraphPEValueError

Targets = tuple[Any, ...]

_NAMED = 6


def _targets(config: TrainConfig, state: Mapping[str, Any]) -> Targets:
    return parse_call(config.task).name, *(tuple(state.get(words, ())) for words in ("target_names", "class_names"))


@dataclass(frozen=True)
class InitialWeights:
    """The best weights of a run.

    Attributes:
        path: The folder of the run.
        config: Its options.
        weights: The weights by name.
        targets: What it predicts: the task, and the words of targets and classes.
    """

    path: Path
    config: TrainConfig
    weights: dict[str, Tensor]
    targets: Targets

    @classmethod
    def read(cls, config: TrainConfig) -> InitialWeights | None:
        """Those that a run is to start from; None where it starts from random ones.

        Raises:
            GraphPEValueError: There is no such run, or it is of another architecture.
            GraphPERuntimeError: It has no weights yet, or is damaged.
        """
        if config.init is None:
            return None
        folder = RunFolder.open(Path(config.init))
        its = folder.read_config()
        mine, other = parse_call(config.model).name, parse_call(its.model).name
        if mine != other:
            raise GraphPEValueError(
                f"{folder.path} is a run of {other}, and this one is of {mine}: start from a run of the same "
                f'architecture, or give --model "{its.model}"'
            )
        weights = load_checkpoint(folder.best)["model"]
        return cls(folder.path, its, weights, _targets(its, folder.read_task()[0]))

    def give(self, model: nn.Module, config: TrainConfig, adapter: TaskAdapter) -> list[str]:
        """Put into a model what fits; a head for other targets stays as it is.

        Args:
            model: The model, changed in place.
            config: Its options.
            adapter: Its ends.

        Returns:
            Lines about what was taken and what was not.

        Raises:
            GraphPEValueError: No weight fits, but for the head's.
        """
        if isinstance(model, LinkModel | TwoHeads) and not any(name.startswith("model.") for name in self.weights):
            return self.give(model.model, config, adapter)  # of a run without what is around: the model inside
        own = model.state_dict()  # beside weights, the statistics of norms
        fitting = [name for name in own if name in self.weights and self.weights[name].shape == own[name].shape]
        other = self.targets != _targets(config, adapter.state())
        if other:
            fitting = [name for name in fitting if not name.startswith("head.")]
        learned = dict(model.named_parameters())
        taken, new = [name for name in learned if name in fitting], [name for name in learned if name not in fitting]
        new = [name for name in new if not (other and name.startswith("head."))]
        if all(name.startswith("head.") for name in taken):
            raise GraphPEValueError(
                f"no weight of {self.path} fits, but for the head's: its model is {self.config.model}, this one is "
                f"{config.model}; give the same width"
            )
        with torch.no_grad():
            for name in fitting:
                own[name].copy_(self.weights[name])
        numbers = sum(learned[name].numel() for name in taken)
        lines = [
            f"from {self.path}: {len(taken)} of {len(learned)} weights ({numbers:,} of "
            f"{sum(each.numel() for each in learned.values()):,} parameters)"
        ]
        if other:
            lines.append("anew: the head, for its targets are others")
        if new:
            more = f" and {len(new) - _NAMED} more" if len(new) > _NAMED else ""
            lines.append(f"anew: {', '.join(map(self._described, new[:_NAMED], [own[each] for each in new]))}{more}")
        if self.config.encodings != config.encodings:
            lines.append(f"its encodings were {' '.join(self.config.encodings or ()) or 'none'}, and are others now")
        return lines

    def _described(self, name: str, weight: Tensor) -> str:
        if name not in self.weights:
            return f"{name} (not there)"
        return f"{name} ({list(self.weights[name].shape)}, here {list(weight.shape)})"
