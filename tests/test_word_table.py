"""The word table: what it gives, and how often it asks."""

import torch
from torch import Tensor

from rcan.model.layers.word_table import WordTable


class Asked:
    """`position, word, position * word` for each word; remembers what it was asked."""

    def __init__(self) -> None:
        self.pairs: list[tuple[int, int]] = []

    def __call__(self, words: Tensor, position: int) -> Tensor:
        self.pairs += [(position, word) for word in words.tolist()]
        return torch.stack([torch.full_like(words, position), words, words * position], 1).float()


def test_every_word_gets_its_row_and_is_asked_for_once_a_place():
    asked = Asked()
    table = WordTable(asked, num_words=50, num_positions=7, device=torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    met = set()
    for _ in range(40):
        position = int(torch.randint(0, 7, (), generator=generator))
        words = torch.randint(0, 50, (3, 4), generator=generator)
        expected = torch.stack([torch.full_like(words, position), words, words * position], -1)
        assert torch.equal(table.look_up(words, position), expected.float())
        met |= {(position, word) for word in words.flatten().tolist()}
    assert sorted(asked.pairs) == sorted(met) and len(table) == len(met)
    assert table.look_up(torch.zeros(0, 3, dtype=torch.long), 0).shape == (0, 3, 3)
