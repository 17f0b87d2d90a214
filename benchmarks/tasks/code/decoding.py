"""From class scores at five positions to the words of a name."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Decoding = Literal["expected-f1", "argmax"]
DECODINGS: tuple[Decoding, ...] = ("expected-f1", "argmax")


class DecodedNames(NamedTuple):
    """Predicted names.

    Attributes:
        classes: `[B, positions]` int64; after the last word of a name, and only there, the end class.
        probability: `[B, positions]`: of each word; meaningless after the last.
    """

    classes: Tensor
    probability: Tensor


def argmax_names(logits: Tensor) -> DecodedNames:
    """The most probable class at each position; what follows an end class is cut.

    This is the rule of OGB's example code (the first of equal scores; the unknown class is kept, and scored as a wrong
    word). Geisler et al. (2023) drop the unknown class, which scores higher.

    Args:
        logits: `[B, positions, classes]`; the last class is the end.
    """
    end = logits.size(-1) - 1
    scores = logits.detach().float()
    classes = scores.argmax(dim=-1)  # not of the probabilities: rounded, they can be equal where scores are not
    probability = torch.softmax(scores, dim=-1).gather(-1, classes.unsqueeze(-1)).squeeze(-1)
    ended = (classes == end).long().cumsum(dim=1) > 0
    return DecodedNames(classes.masked_fill(ended, end), probability)


def expected_f1_names(logits: Tensor) -> DecodedNames:
    r"""The set of words with the largest expected F1, in the order in which the positions would say them.

    With $p_{it}$ the probability of word t at position i, $a_i = \prod_{j<i} (1 - p_{j,end})$ that the name gets that
    far, $m_t = 1 - \prod_i (1 - a_i p_{it})$ that t is in the name and $\ell = \sum_i a_i (1 - p_{i,end})$ its expected
    length, the set S maximises $2 \sum_{t \in S} m_t / (|S| + \ell)$, a first-order approximation of the expectation of
    the metric, $2 |S \cap L| / (|S| + |L|)$. For each |S| the best set is that of the largest $m_t$, so that the search
    is one `topk`. The unknown class stands for no word and is never chosen.

    Where a model is sure, this is `argmax_names`. Where it is not, the metric rewards a few probable words more than
    the single most probable sequence, which often ends at once. Geisler et al. (2023) subtract constants from the
    probabilities of the unknown and the end class to the same effect; here nothing is tuned.

    Args:
        logits: `[B, positions, classes]`; the last class is the end, the last but one unknown.
    """
    batch, positions, count = logits.shape
    end = count - 1
    probability = torch.softmax(logits.detach().float(), dim=-1)
    goes_on = 1 - probability[:, :, end]
    reached = torch.cat([torch.ones_like(goes_on[:, :1]), goes_on[:, :-1].cumprod(dim=1)], dim=1)
    said = probability[:, :, : end - 1] * reached.unsqueeze(-1)  # [B, positions, words]
    included = 1 - (1 - said).prod(dim=1)
    size = min(positions, end - 1)
    words_probability, words = included.topk(size, dim=-1)
    length = (reached * goes_on).sum(dim=1, keepdim=True)
    number = torch.arange(1, size + 1, device=logits.device)
    gain = words_probability.cumsum(dim=1) / (number + length)
    chosen = number <= gain.argmax(dim=1, keepdim=True) + 1
    # The order of the words: each at the position where it is most probable; what is not chosen goes last.
    place = said.gather(2, words.unsqueeze(1).expand(batch, positions, size)).argmax(dim=1)
    order = torch.where(chosen, place * size + number - 1, positions * size + number).argsort(dim=1)
    classes = torch.full((batch, positions), end, dtype=torch.long, device=logits.device)
    classes[:, :size] = words.masked_fill(~chosen, end).gather(1, order)
    out = torch.zeros(batch, positions, device=logits.device)
    out[:, :size] = words_probability.gather(1, order)
    return DecodedNames(classes, out)
