"""Self-critical sequence training (Rennie et al., CVPR 2017, 1612.00563), over any model.

A report ŷ is sampled, and ȳ takes the likeliest word each time; both are written word by word, as
two beams of one search without gradients. One pass over ŷ then gives the gradient of

    L = -Σ_t (r(ŷ) - r(ȳ)) log p(ŷ_t | ŷ_<t, images) / Σ |ŷ|,

with sums over a batch's reports and their words up to the end mark, which is a word of both.
Dropout is off throughout, so that the words are scored by what they were sampled from. All random
numbers are torch's own, which the epoch has seeded.

Shapes: B studies, T words.
"""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rcan.config.sections import Reward as Chosen
from rcan.data.batches import Batch
from rcan.model.interface import Output, ReportModel, Together
from rcan.text.tokenizer import Tokenizer
from rcan.training.loop import Rewarded
from rcan.training.rewards import Reward, reward_of


def rewarded(
    model: ReportModel, chosen: Chosen, references: Sequence[Sequence[int]], words: Tokenizer
) -> Rewarded:
    """The losses of an epoch on rewards; `references`: ids of all training reports, with eos.

    Raises `UserError` if the reward cannot be told from them.
    """
    reward = reward_of(chosen, references, words)
    return partial(
        policy_gradient, model=model, reward=reward, bos_id=words.bos_id, eos_id=words.eos_id
    )


def policy_gradient(
    wrapped: nn.Module, batch: Batch, together: Together, *,
    model: ReportModel, reward: Reward, bos_id: int, eos_id: int,
) -> dict[str, Tensor]:  # fmt: skip
    """L of a batch as `loss`; `loss_sampled` and `loss_greedy`: minus the mean rewards of ŷ and ȳ,
    or of their first words, which have all that is gained.

    `wrapped` is `model` as the loop trains it; both are left in evaluation mode.
    """
    wrapped.eval()
    for part in wrapped.modules():
        if isinstance(part, nn.RNNBase):
            part.train()  # else cuDNN gives no gradient; one layer drops nothing
    words, lengths = write_twice(model, batch, bos_id=bos_id, eos_id=eos_id)
    rewards = _rewards(reward, words, lengths, batch).to(words.device)
    longest = int(lengths[0].max())
    sampled, advantage = words[0, :, :longest], (rewards[0] - rewards[1])[:, :longest]
    tokens = torch.cat([torch.full_like(sampled[:, :1], bos_id), sampled], 1)
    output: Output = wrapped(batch._replace(tokens=tokens))
    surprise = F.cross_entropy(
        output.logits.flatten(0, 1).float(), sampled.flatten(), reduction="none"
    ).view_as(sampled)
    written = torch.arange(longest, device=words.device) < lengths[0].unsqueeze(1)  # (B, T)
    loss = torch.where(written, surprise, 0.0).mul(advantage).sum() / written.sum()
    return {
        "loss": loss * together.share_of_tokens(written, pad_id=0),
        "loss_sampled": -rewards[0, :, 0].mean(),
        "loss_greedy": -rewards[1, :, 0].mean(),
    }


@torch.no_grad()
def write_twice(
    model: ReportModel, batch: Batch, *, bos_id: int, eos_id: int
) -> tuple[Tensor, Tensor]:
    """ŷ and ȳ of each study: words (2, B, T) and how many of them are the report's, (2, B).

    A report ends with `eos_id`, or without it at `max_length` words, as in beam search.
    """
    most, num_studies, device = model.max_length, len(batch.images), batch.images.device
    words = torch.full((most, num_studies, 2), batch.pad_id, device=device)
    lengths = torch.full((num_studies, 2), most, device=device)
    studies = torch.arange(num_studies, device=device)  # those not yet finished, (b,)
    state = model.start(batch.images, batch.projections, 2, model.prepare())
    tokens = torch.full((num_studies, 2), bos_id, device=device)
    for place in range(most):
        logprobs = model.step(tokens, state)  # (b, 2, Y)
        likeliest = logprobs[:, 1].argmax(-1)
        tokens = torch.stack([logprobs[:, 0].exp().multinomial(1).squeeze(1), likeliest], 1)
        words[place, studies] = tokens
        ended = (tokens == eos_id) & (lengths[studies] == most)
        lengths[studies] = torch.where(ended, place + 1, lengths[studies])
        going = (lengths[studies] == most).any(1).nonzero().squeeze(1)
        if len(going) == 0:
            break
        if 2 * len(going) <= len(studies):
            state.keep(going)
            studies, tokens = studies[going], tokens[going]
    return words.permute(2, 1, 0), lengths.T


def _rewards(reward: Reward, words: Tensor, lengths: Tensor, batch: Batch) -> Tensor:
    """What each report or word of it is worth, (2, B, 1 or T): words (2, B, T), lengths (2, B)."""
    reports = [
        report[:length]
        for report, length in zip(
            words.flatten(0, 1).tolist(), lengths.flatten().tolist(), strict=True
        )
    ]
    assert batch.numbers is not None, "only training studies have references"
    numbers = batch.numbers.repeat(2).cpu().numpy()
    found = torch.from_numpy(reward(reports, numbers)).float()
    return found.view(2, len(batch.images), -1)
