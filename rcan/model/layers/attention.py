"""Additive attention (Bahdanau et al., 1409.0473): e_i = wᵀ tanh(W_a a_i + W_h h), α = softmax(e).

What does not depend on the query, W_a a_i + b, is worked out once a study: the keys.

Shapes: B studies, K queries of each (beams), S patches, d width of values, n width of keys.
"""

from torch import Tensor, nn

from rcan.model.layers.dropout import Dropout


class AdditiveAttention(nn.Module):
    """`key` and `query` project to width `n`, `score` compares, `forward` is all of it.

    `dropout`: of the tanh. There is one bias, of the key: of the query it would be the same again,
    of the score it would change no softmax.
    """

    def __init__(self, d_value: int, d_query: int, n: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.key = nn.Linear(d_value, n)
        self.query = nn.Linear(d_query, n, bias=False)
        self.dropout = Dropout(dropout)
        self.weigh = nn.Linear(n, 1, bias=False)

    def score(self, keys: Tensor, queries: Tensor) -> Tensor:
        """e: projected keys and queries, (..., n) that fit each other -> (...)."""
        scores: Tensor = self.weigh(self.dropout((keys + queries).tanh()))
        return scores.squeeze(-1)

    def forward(self, h: Tensor, a: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        """h (B, K, d_query), a (B, S, d), keys (B, S, n) -> Σ α_i a_i (B, K, d), α (B, K, S)."""
        scores = self.score(keys.unsqueeze(1), self.query(h).unsqueeze(2))  # (B, K, S)
        weights = scores.softmax(-1)
        return weights @ a, weights
