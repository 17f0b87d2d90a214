"""How scores of links are compared with those of pairs that are none, by OGB's evaluators."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from graphpe.errors import GraphPEValueError
from graphpe.files.ogb import evaluator


@dataclass(frozen=True)
class LinkMetric(ABC):
    """A metric of scores of links and of other pairs; more is better.

    Attributes:
        name: Its name in tables.
        dataset: OGB's name of the dataset whose evaluator computes it.
    """

    name: str
    dataset: str

    @abstractmethod
    def __call__(self, links: Tensor, others: Tensor) -> float:
        """The metric.

        Args:
            links: Scores of links, `[n]`.
            others: Scores of other pairs, `[m]`.
        """


class HitsAtK(LinkMetric):
    """Share of the links whose score is above the K-th best of all other pairs: OGB's Hits@K."""

    def __call__(self, links: Tensor, others: Tensor) -> float:
        found = evaluator(self.dataset).eval({"y_pred_pos": links.float(), "y_pred_neg": others.float()})
        return float(next(iter(found.values())))


class RocAuc(LinkMetric):
    """Area under the ROC curve, as OGB's evaluator has it."""

    def __call__(self, links: Tensor, others: Tensor) -> float:
        found = evaluator(self.dataset).eval({"y_pred_pos": links.float(), "y_pred_neg": others.float()})
        return float(found["rocauc"])


class MeanReciprocalRank(LinkMetric):
    """Mean over links of 1 / rank, each among its own other pairs, which stand together in the order of the links."""

    def __call__(self, links: Tensor, others: Tensor) -> float:
        if not len(links) or len(others) % len(links):
            raise GraphPEValueError(
                f"{self.name} compares each link with as many other pairs, and there are {len(links):,} links and "
                f"{len(others):,} others"
            )
        scores = {"y_pred_pos": links.float(), "y_pred_neg": others.float().view(len(links), -1)}
        return float(torch.as_tensor(evaluator(self.dataset).eval(scores)["mrr_list"]).mean())


def ogb_link_metric(dataset: str) -> LinkMetric:
    """The metric of a dataset of OGB.

    Args:
        dataset: Its name, such as `ogbl-collab`.
    """
    name = str(evaluator(dataset).eval_metric)
    if name == "mrr":
        return MeanReciprocalRank("MRR", dataset)
    return RocAuc("ROC-AUC", dataset) if name == "rocauc" else HitsAtK(name.replace("hits", "Hits"), dataset)


ROC_AUC_OF_LINKS = RocAuc("ROC-AUC", "ogbl-vessel")
"""Area under the ROC curve."""
