"""The options of a training run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from graphpe.arguments import (
    check_choice,
    check_fanouts,
    check_flags,
    check_integer,
    check_not_negative,
    check_positive,
    check_probabilities,
)
from graphpe.benchmarks.console.sizes import canonical_sizes
from graphpe.calls import LARGEST
from graphpe.errors import GraphPEValueError

Accelerator = Literal["auto", "cpu", "cuda", "mps", "tpu"]
Optimizer = Literal["adamw", "adam"]
ClipBy = Literal["norm", "unit", "update"]
Schedule = Literal["cosine", "cosine_restarts", "linear", "plateau", "constant"]
DecayOf = Literal["all", "matrices"]
Precision = Literal["32-true", "bf16-mixed", "16-mixed", "bf16-true", "64-true"]
Log = Literal["none", "tensorboard", "wandb"]
Sampler = Literal["whole", "neighbors", "partitions"]
Evaluation = Literal["whole", "sampled"]

_MOST = {"threads": 1024, "devices": 1024, "nodes": 65_536, "rewire": 1024}
"""More than any machine has; the system cannot start so many threads or processes. Of permutations, more than helps."""

_COUNTS = ("epochs", "batch_size", "accumulate", "parts", "devices", "nodes", "threads")
_AT_LEAST_ONE = (*_COUNTS, "restart_steps", "restart_factor")
_POSITIVE = ("learning_rate", "checkpoint_minutes", "plateau_factor")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What decides the outcome of a training run.

    Args:
        task: The task, as a call: "python-source", "python-source(graph='ast')", "code2"; see `graphpe list tasks`.
        root: Folder with the task's data; for python-source a source tree (default: the interpreter's own library).
        sizes: Sizes of graphs to train on, and bins of larger ones that are tested, too: "16 | 17-24 25-32 33-64". The
            test is then of the sizes of training, in distribution. Tasks that draw their graphs draw such ones, others
            are divided by size. Empty for the task's own split.
        model: The model, as a call: "GraphTransformer(width=64, layers=4)"; see `graphpe list models`.
        encodings: Encodings, as calls: "LaplacianPE(k=8)"; see `graphpe list encodings`. Those of nodes are computed
            once, those of pairs for each batch; "PEARLEncoding(samples=8)" and others that the model makes itself are
            modules of it. "none" for no encoding; "published", or None, for what the model is
            published with, or else suits the task.
        imports: Python modules of one's own, `my_module` or `my_model.py`, whose encodings, encoders, models and tasks
            the texts may name.
        encoder: What brings encodings of nodes to the model, as a call: "SignNet", "SPE(hidden=16)" for eigenvectors,
            "FourierFeatures(gamma=0.5)", "PersistenceEncoding()" for other real values; see `graphpe list encoders`.
            Encodings that it does not read have the encoder of their kind.
        bias: What encodings become in attention, as calls joined by " + ": "PairBias(head='kerple_log')" for those of
            pairs, "RotaryAttention" or "PairBias(head='linear', factored=True)" for those of nodes, which then are not
            added to the nodes; see `graphpe list biases`. "auto" for biases of those of pairs, by their kind;
            "none" for nothing.
        perturb: What training does to encodings of nodes, as a call: "Perturbed(noise=0.1, drop=0.2)" makes them fuzzy
            and hides some; "none" for nothing. In evaluation they are themselves.
        rewire: Random edges beside those of each graph, as GRASS has them: those of so many permutations of its nodes,
            both ways, with a learned vector in the place of features. Training has new ones in each batch, evaluation
            always the same. 0 for none; for tasks about whole graphs.
        encoding_width: 0: each encoding of nodes is mapped to the model's width and added to the embedding of nodes.
            Otherwise it is mapped to so many columns (numbers that are no eigenvectors after a batch norm), which are
            concatenated to a narrower embedding, as GraphGPS does.
        head: The last layers, as a call: "MLPReadout(hidden_layers=1, halve=False)"; "auto" for the task's own.
        init: Folder of a trained run to start from, instead of from random weights: all of its best weights that fit
            in name and shape are taken, those of the head if its targets are the same. On the command line, its
            model and encodings are the default then. "none" for random weights.
        epochs: Passes over the training part.
        batch_size: Graphs in a batch, on each device; with a sampler, nodes whose targets are asked for, or parts.
        accumulate: Batches whose gradients are averaged for a step of the optimizer; the last step of an epoch is made
            of those that are left. What counts steps counts these: `warmup_steps`, `max_steps`, the learning rate.
        max_nodes: Most nodes in a batch, 0 for no limit; a larger graph is a batch of its own.
        max_pairs: Most pairs of nodes (the sum of squared sizes) in a batch, likewise; it bounds the memory of models
            over all pairs.
        sampler: Where all parts of the split share one graph, what a step of training sees of it: "whole" (all of it),
            "neighbors" (`batch_size` nodes and sampled neighbours, as PyG's `NeighborLoader`) or "partitions"
            (`batch_size` of `parts` parts with the edges among them, as Cluster-GCN).
        fanout: With "neighbors", most incoming edges of a node that are drawn in each hop; -1 for all.
        parts: With "partitions", how many parts the graph is cut into.
        evaluation: Whether predictions are made from the "whole" graph, or "sampled" as in training.
        optimizer: "adamw", or "adam", whose decay is added to the gradient (L2) as in many published runs.
        learning_rate: Its peak learning rate.
        weight_decay: Its weight decay.
        decay_of: What decays: "all" weights, or "matrices": neither biases, norms and other vectors, nor embeddings.
        beta1: Its decay of the mean of gradients.
        beta2: Its decay of the mean of squared gradients.
        warmup_steps: Steps of linear warm-up, before what `schedule` says.
        schedule: What the learning rate does then: "cosine" (half of one), "cosine_restarts" (halves of cosines, one
            after another: torch's `CosineAnnealingWarmRestarts`), "linear", "plateau" (it is halved where the
            validation loss does not fall, and training ends below 1e-6) or "constant".
        min_learning_rate: What it falls to; of "plateau", what it is never below.
        restart_steps: Steps of the first cosine of "cosine_restarts", `T_0`.
        restart_factor: How many times longer each is than the one before, `T_mult`.
        plateau_patience: Epochs without a lower validation loss after which "plateau" reduces.
        plateau_factor: What it multiplies the rate by, below 1.
        label_smoothing: Share of the target that is spread over all classes, in training; of tasks of classes.
        ema_decay: Decay d of an exponential moving average of weights and running statistics, updated after each step:
            validation, the best checkpoint and the test have the averages. 0: the weights themselves. It looks back
            over about 1 / (1 - d) steps, and begins with the untrained weights: for runs of many times as many.
        clip: What a step may be at most, as `clip_by` has it; 0 clips nothing.
        clip_by: "norm": `clip` is the largest norm of the gradient. "unit": the largest norm of a unit's gradient (of
            a row of a matrix) as a share of that of its weights, adaptive clipping (Brock et al. 2021). "update": the
            same of what the optimizer changes, as released with SAT++.
        patience: Stop after so many epochs without a better validation metric; 0 never stops early.
        max_steps: Stop after so many steps in all, evaluate and finish; 0 means no limit.
        max_minutes: Stop after so many minutes of training, at the end of an epoch, and finish; 0 means no limit. The
            learning rate falls as for all epochs.
        checkpoint_minutes: Save within an epoch, too, whenever so many minutes have passed.
        precision: Number format of the computation, as in Lightning Fabric.
        accelerator: Kind of device, as in Lightning Fabric.
        graphs: On a CUDA device, whether batches are padded to a few shapes and the step of each is captured as one
            graph of kernels, which is launched at once: the same numbers, to rounding, in less time. It is said where a
            model cannot be captured. Other devices take steps as they are.
        devices: Number of devices (processes, on CPU) on this machine.
        nodes: Number of machines, each started by torchrun or SLURM.
        seed: Seed of everything random.
        threads: CPU threads of each process. Small graphs gain little from more than one, and lose much where cores are
            shared; the result of a run depends on it in its last bits.

    Raises:
        GraphPETypeError: A number is of a wrong type.
        GraphPEValueError: One is out of range, or an option is none of its choices.
    """

    task: str = "python-source"
    root: str | None = None
    sizes: str = ""
    model: str = "GraphTransformer(width=64, layers=2, heads=8, dropout=0.2, readout='max')"
    encodings: tuple[str, ...] | None = None
    imports: tuple[str, ...] = ()
    encoder: str = "EigenvectorEncoding"
    bias: str = "auto"
    perturb: str = "none"
    rewire: int = 0
    encoding_width: int = 0
    head: str = "auto"
    init: str | None = None
    epochs: int = 14
    batch_size: int = 32
    accumulate: int = 1
    max_nodes: int = 0
    max_pairs: int = 0
    sampler: Sampler = "whole"
    fanout: tuple[int, ...] = (15, 10, 5)
    parts: int = 100
    evaluation: Evaluation = "whole"
    optimizer: Optimizer = "adamw"
    learning_rate: float = 3e-3
    weight_decay: float = 0.1
    decay_of: DecayOf = "all"
    beta1: float = 0.9
    beta2: float = 0.999
    warmup_steps: int = 100
    schedule: Schedule = "cosine"
    min_learning_rate: float = 0.0
    restart_steps: int = 1000
    restart_factor: int = 1
    plateau_patience: int = 10
    plateau_factor: float = 0.5
    label_smoothing: float = 0.0
    ema_decay: float = 0.0
    clip: float = 1.0
    clip_by: ClipBy = "norm"
    patience: int = 5
    max_steps: int = 0
    max_minutes: float = 0.0
    checkpoint_minutes: float = 5.0
    precision: Precision = "32-true"
    accelerator: Accelerator = "auto"
    graphs: bool = True
    devices: int = 1
    nodes: int = 1
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        if self.encodings is not None:
            texts = (self.encodings,) if isinstance(self.encodings, str) else tuple(self.encodings)
            object.__setattr__(self, "encodings", texts)
        object.__setattr__(self, "imports", tuple(self.imports))
        if self.init == "none":
            object.__setattr__(self, "init", None)
        object.__setattr__(self, "sizes", canonical_sizes(self.sizes))
        for each in fields(self):
            value = getattr(self, each.name)
            if each.type == "int":
                least = 1 if each.name in _AT_LEAST_ONE else 0
                value = check_integer(each.name, value, least=least, most=_MOST.get(each.name, LARGEST))
            elif each.type == "float":
                check = check_positive if each.name in _POSITIVE else check_not_negative
                (value,) = check(**{each.name: value})
            object.__setattr__(self, each.name, value)
        check_probabilities(beta1=self.beta1, beta2=self.beta2, plateau_factor=self.plateau_factor)
        check_probabilities(label_smoothing=self.label_smoothing, ema_decay=self.ema_decay)
        if self.min_learning_rate > self.learning_rate:
            raise GraphPEValueError(
                f"min_learning_rate={self.min_learning_rate} is above learning_rate={self.learning_rate}: lower it"
            )
        fanout = (self.fanout,) if isinstance(self.fanout, int) else self.fanout
        object.__setattr__(self, "fanout", check_fanouts(fanout))
        check_flags(graphs=self.graphs)
        check_choice("sampler", self.sampler, get_args(Sampler))
        check_choice("evaluation", self.evaluation, get_args(Evaluation))
        check_choice("optimizer", self.optimizer, get_args(Optimizer))
        check_choice("decay_of", self.decay_of, get_args(DecayOf))
        check_choice("clip_by", self.clip_by, get_args(ClipBy))
        check_choice("schedule", self.schedule, get_args(Schedule))
        check_choice("precision", self.precision, get_args(Precision))
        check_choice("accelerator", self.accelerator, get_args(Accelerator))

    def as_dict(self) -> dict[str, Any]:
        """The options as plain values for YAML and JSON."""
        encodings = None if self.encodings is None else list(self.encodings)
        lists = {"encodings": encodings, "imports": list(self.imports), "fanout": list(self.fanout)}
        return asdict(self) | lists

    def differences(self, given: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
        """The options in `given` whose value is not this config's: name -> (this config's, given).

        Not `imports`, which say where classes are found: files move, and the texts say what was built.
        """
        known = {field.name for field in fields(self)} - {"imports"}
        mine = self.as_dict()
        pairs = {
            key: (mine[key], list(value) if key in ("encodings", "fanout") and value is not None else value)
            for key, value in given.items()
            if key in known
        }
        return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def inputs_and_head(config: TrainConfig) -> dict[str, Any]:
    """The options of `graphpe.benchmarks.calls.build.build_model` that a run has."""
    names = ("encoder", "bias", "perturb", "rewire", "encoding_width", "head")
    return {name: getattr(config, name) for name in names}
