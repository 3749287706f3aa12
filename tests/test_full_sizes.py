"""Table 3's systems at the size of their papers, which no test trains: built without numbers."""

import pytest
import torch
from model_parts import VOCABULARY, knowledge_of, settings_with
from tiny import TOP, changed

from rcan.ablation.cells import load_cells
from rcan.ablation.plan import _resolved
from rcan.model.build import build_model, num_parameters

CELLS = load_cells(TOP / "ablations" / "cells.yaml")
SYSTEMS = [cell for cell in CELLS.cells if cell.name in CELLS.of_table("table3")]
RESNET101 = 44_549_160 - (2048 * 1000 + 1000)  # torchvision's count, without its classifier


@pytest.mark.parametrize("cell", SYSTEMS, ids=lambda cell: cell.name)
def test_a_system_is_built_at_full_size_on_the_papers_cnn(cell):
    settings = _resolved(changed({"data.name": "iu_xray"}), cell, seed=1)
    assert settings.scale == "full"
    knowledge = knowledge_of(settings_with({"model.family": settings.model.family}))
    with torch.device("meta"):  # shapes without numbers
        model = build_model(settings, VOCABULARY, knowledge, pretrained=False)
    visual, blind = model.visual, settings.visual.blind
    assert (visual.channels, visual.map_side, visual.crop) == (2048, 7, 224)
    assert sum(p.numel() for p in visual.cnn.parameters()) == RESNET101
    assert num_parameters(visual.cnn) == (0 if blind else RESNET101)  # trained, not frozen
    assert all(p.numel() > 0 and p.is_meta for p in model.parameters())
    others = num_parameters(model) - num_parameters(visual.cnn)
    assert 1_000_000 < others < 300_000_000
    assert model.max_length == 60


def test_all_systems_of_table_3_are_there():
    assert len(SYSTEMS) >= 17
