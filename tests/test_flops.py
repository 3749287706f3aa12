"""Costs, counted in operations: they do not depend on how busy the machine is.

A count is of multiply-adds in matrix products, convolutions and attention, times two.
"""

import pytest
import torch
from model_parts import read, settings_with
from torch.utils.flop_counter import FlopCounterMode

from rcan.generation.beam_search import beam_search
from rcan.model.build import build_model
from rcan.model.families.rcan.model import RCAN
from rcan.model.interface import ReportModel

PAPER = {  # the paper's sizes; features in the place of images, and a small CNN that nobody asks
    "data.max_length": 60, "visual.channels": [8, 2048], "visual.crop": 28,
    "visual.token_grid": None, "visual.feature_window": None, "model.patch_positions": "none",
    "model.d_model": 512, "model.num_heads": 8, "model.d_ff": 512,
    "model.num_encoder_layers": 3, "model.num_decoder_layers": 3,
    "cgm.num_slots": 2048, "cgm.num_heads": 8, "wcl.projection_dim": 128,
}  # fmt: skip
D, LAYERS, SLOTS, WORDS, PATCHES, BEAMS, LONGEST = 512, 3, 2048, 757, 98, 3, 60
IDS = {"bos_id": 0, "eos_id": 0, "pad_id": 0}


def paper_model(**changes: bool) -> RCAN:
    modules = {f"model.{name}": on for name, on in changes.items()}
    torch.manual_seed(0)
    return build_model(settings_with(modules, base=PAPER), WORDS).eval()


def maps(num_studies: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.rand(num_studies, 2, 2048, 7, 7), torch.zeros(num_studies, 2, dtype=torch.long)


def flops(call) -> int:
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


@torch.no_grad()
def searched(model: ReportModel, num_studies: int, length: int, endless: bool = True):
    """FLOPs of searching, from encoded images on, and what was prepared for it."""
    model.classifier.bias[0] = -1e4 if endless else 1e4  # reports never end, or at once
    prepared = model.prepare()
    state = model.start(*maps(num_studies), BEAMS, prepared)
    count = flops(lambda: beam_search(
        model.step, state, num_studies=num_studies, beam_size=BEAMS, max_length=length, **IDS
    ))  # fmt: skip
    return count, prepared


def test_a_word_costs_its_projections_and_the_attention_to_the_words_before_it():
    model = paper_model(use_rve=False, use_cgm=False, use_wcl=False)
    projections = LAYERS * 8 * D * D + D * WORDS  # 4 of self-attention, 2 of cross, 2 of ff
    for studies, length in ((1, 60), (2, 20)):
        before = sum(BEAMS * t for t in range(1, length + 1))  # the cached words of all beams
        attention = LAYERS * 2 * D * (before + length * PATCHES)
        expected = 2 * studies * BEAMS * (length * projections + attention)
        assert searched(model, studies, length)[0] == expected


def test_a_longer_report_costs_little_more_than_in_proportion():
    model = paper_model(use_rve=False, use_cgm=False, use_wcl=False)
    thirty, sixty = (searched(model, 1, length)[0] for length in (30, 60))
    assert 2 <= sixty / thirty < 2.1


def test_the_memory_is_asked_once_for_each_word_at_each_place():
    plain, cgm = (paper_model(use_rve=False, use_cgm=on, use_wcl=False) for on in (False, True))
    (without, _), (with_memory, prepared) = (searched(model, 4, LONGEST) for model in (plain, cgm))
    asked = len(prepared.words)  # pairs of word and place that came up
    one = 2 * (4 * D * D + 2 * SLOTS * D + D)  # query, output, two gates; scores and values; W_c
    # The two models write different words, but the same number of them.
    assert with_memory - without == asked * one
    assert asked < 4 * BEAMS * LONGEST


@torch.no_grad()
def test_seen_words_cost_nothing_of_the_memory():
    model = paper_model(use_rve=False, use_wcl=False)
    model.classifier.bias[0] = -1e4
    prepared = model.prepare()

    def write() -> int:
        state = model.start(*maps(2), BEAMS, prepared)
        return flops(lambda: beam_search(
            model.step, state, num_studies=2, beam_size=BEAMS, max_length=20, **IDS
        ))  # fmt: skip

    first, again = write(), write()
    plain, _ = searched(paper_model(use_rve=False, use_cgm=False, use_wcl=False), 2, 20)
    assert again == plain < first


def test_a_search_that_is_decided_stops():
    model = paper_model(use_rve=False, use_cgm=False, use_wcl=False)
    assert searched(model, 4, 60, endless=False)[0] == searched(model, 4, 1)[0]


def trained(model: ReportModel, num_studies: int = 4, length: int = 59) -> int:
    """FLOPs of the forward pass from the CNN's maps on."""
    tokens = torch.ones(num_studies, length, dtype=torch.long)
    return flops(lambda: read(model.train(), *maps(num_studies), tokens))


def test_rve_costs_its_convolutions():
    without, with_rve = (
        trained(paper_model(use_rve=on, use_cgm=False, use_wcl=False)) for on in (False, True)
    )
    C, positions = 2048, 49
    each = positions * (2 * 9 * C * C + 9 * C) + 2 * C * (C // 4)  # f_r, Eq. 6, Eq. 5
    assert with_rve - without == 2 * (4 * 2) * each  # of 4 studies' 2 images
    # Of a ResNet-101's 7.8 GMAC an image about 47 %, as printed.
    assert each / 7.8e9 == pytest.approx(0.47, abs=0.01)


def test_wcl_costs_under_a_hundredth_of_the_generator_it_trains_with():
    without, with_wcl = (
        trained(paper_model(use_rve=False, use_cgm=False, use_wcl=on)) for on in (False, True)
    )
    assert 0 < with_wcl - without < 0.01 * without


def test_the_memory_is_projected_once_a_step_and_asked_by_patches_and_words():
    without, with_cgm = (
        trained(paper_model(use_rve=False, use_cgm=on, use_wcl=False)) for on in (False, True)
    )
    B, T = 4, 59
    asked = B * (PATCHES + T) * (4 * D * D + 2 * SLOTS * D + D)
    gates = B * (T * T * D + PATCHES * D)  # Eq. 14 over the words so far, and over the patches
    assert with_cgm - without == 2 * (2 * SLOTS * D * D + asked + gates)


SLOTS_OF_R2GEN = 3
# Of a word: four projections of itself, eight of each slot, and the slots' attention to all four.
OF_MEMORY = (4 + 8 * SLOTS_OF_R2GEN) * D * D + 2 * SLOTS_OF_R2GEN * (SLOTS_OF_R2GEN + 1) * D
OF_NORMS = LAYERS * 3 * 2 * (SLOTS_OF_R2GEN + 1) * D * D  # n·d -> d -> d


def r2gen() -> ReportModel:
    changes = {"model.family": "r2gen", "r2gen.memory_heads": 8}
    torch.manual_seed(0)
    return build_model(settings_with(changes, base=PAPER), WORDS).eval()


def test_a_text_of_r2gen_costs_its_memory_and_norms_once_and_no_word_before_it_again():
    word = LAYERS * 8 * D * D + D * WORDS
    for studies, length in ((1, 60), (2, 20)):
        model, texts = r2gen(), []
        step = model.memory.step

        def counted(*given, step=step, texts=texts):
            m, number = step(*given)
            texts.append(m.shape[1])
            return m, number

        model.memory.step = counted
        before = sum(BEAMS * t for t in range(1, length + 1))
        attention = LAYERS * 2 * D * (before + length * PATCHES)
        expected = studies * BEAMS * (length * word + attention)
        found, _ = searched(model, studies, length)
        assert found == 2 * (expected + sum(texts) * (OF_MEMORY + OF_NORMS))
        assert texts[0] == 1 and max(texts) <= studies * BEAMS  # all begin alike


def test_training_r2gen_costs_its_memory_and_norms_besides():
    plain = trained(paper_model(use_rve=False, use_cgm=False, use_wcl=False))
    assert trained(r2gen()) - plain == 2 * 4 * 59 * (OF_MEMORY + OF_NORMS)


def test_the_way_back_through_r2gens_memory_costs_twice_the_way_there():
    memory, y = r2gen().memory, torch.randn(2, 5, D, requires_grad=True)
    told = memory(y)
    assert flops(lambda: told.sum().backward()) == 2 * (2 * 2 * 5 * OF_MEMORY)
