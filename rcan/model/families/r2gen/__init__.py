"""R2Gen, *Generating radiology reports via memory-driven Transformer* (Chen et al., EMNLP 2020,
2010.16056): a relational memory of the words so far drives the norms of a Transformer's decoder.

`memory`: Eqs. 6-10; `rcan.model.layers.conditional`: Eqs. 11-15 and the whole. What the authors'
code does and the paper does not say is a setting, or a row of docs/readings.md. Given that code's
weights, `r2gen.norm: unbiased` gives its numbers, and any other its reports.
"""

from torch import Tensor, nn

from rcan.config import Settings
from rcan.config.families.r2gen import Config
from rcan.model.families.r2gen.memory import RelationalMemory
from rcan.model.layers.conditional import ConditionalModel
from rcan.model.layers.transformer import Encoder


class UnbiasedNorm(nn.LayerNorm):
    """Divides by the unbiased deviation and 1e-6, as the authors' code does."""

    def forward(self, x: Tensor) -> Tensor:
        x = (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-6)
        return x * self.weight + self.bias if self.elementwise_affine else x


def build(settings: Settings, vocabulary_size: int, *, pretrained: bool) -> ConditionalModel:
    """R2Gen as the settings describe it, initialised from the global random state."""
    assert isinstance(settings.family, Config)
    model, own = settings.model, settings.family.r2gen
    encoder = Encoder(
        model.d_model, num_layers=model.num_encoder_layers, num_heads=model.num_heads,
        d_ff=model.d_ff, dropout=model.dropout,
    )  # fmt: skip
    memory = RelationalMemory(
        model.d_model, num_slots=own.memory_slots, num_heads=own.memory_heads,
        dropout=model.dropout, learned=own.first_memory == "learned",
    )  # fmt: skip
    r2gen = ConditionalModel(
        settings, vocabulary_size, encoder, memory,
        two_dropouts=own.embedding_dropouts == "two", patch_dropout=own.patch_dropout,
        pretrained=pretrained,
    )  # fmt: skip
    if own.norm == "unbiased":
        _use_unbiased_norms(r2gen)
    return r2gen


def _use_unbiased_norms(model: nn.Module) -> None:
    for part in list(model.modules()):
        for name, norm in part.named_children():
            if isinstance(norm, nn.LayerNorm):
                affine = norm.elementwise_affine
                setattr(part, name, UnbiasedNorm(norm.normalized_shape, elementwise_affine=affine))
