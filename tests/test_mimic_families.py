"""Every family of models is trained on studies in the shape of MIMIC-CXR's."""

import pytest
from mimic_tree import make_studies, write_r2gen, write_tree
from model_parts import OTHER_FAMILIES, name_of
from tiny import TOP, TRANSFORMER, changed, prepare, tiny, train_tiny

from rcan.ablation.cells import load_cells
from rcan.ablation.plan import NOT_RUN, plan
from rcan.data.labels import are_labelled
from rcan.data.store import open_split
from rcan.errors import UserError
from rcan.training.train import train

MIMIC = {
    "data.name": "mimic_cxr", "data.num_views": 1, "visual.backbone": "small",
    "visual.weights": "none", "wcl.views": "augment", "sat.d_hidden": 10,
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Of PhysioNet's layout, which brings CheXpert's labels."""
    folder = tmp_path_factory.mktemp("mimic")
    write_tree(folder / "raw", make_studies(60))
    return prepare(folder, tiny(MIMIC | {"data.root": str(folder / "raw")}))


@pytest.mark.parametrize("changes", [TRANSFORMER, *OTHER_FAMILIES], ids=name_of)
def test_a_family_is_trained_on_studies_of_one_view_and_chexperts_labels(changes, place, tmp_path):
    assert train_tiny(place, tmp_path, MIMIC | changes) == [1, 2, 3]


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory):
    """Of R2Gen's layout, which has no labels."""
    folder = tmp_path_factory.mktemp("r2gen")
    write_r2gen(folder / "raw", make_studies(60))
    return prepare(folder, tiny(MIMIC | {"data.root": str(folder / "raw")}))


NO_LABELS = "needs labels, which this data set does not have"
REPORTS = "keeps reports, and these are restricted"


def test_cells_that_the_data_do_not_allow_are_told_and_all_others_planned(place, unlabelled):
    without = {"coatt-1", "ppked_style-1", "clinicalbert_style-1"}
    for data, restricted, told in (
        (unlabelled, True, dict.fromkeys(without, NO_LABELS)),
        (place, True, {"ppked_style-1": REPORTS}),
        (place, False, {}),
    ):
        labelled = are_labelled(open_split(data["processed"], "train").studies)
        raw = changed({"data.name": "mimic_cxr", "privacy.restricted": restricted})
        planned = plan(raw, load_cells(TOP / "ablations" / "cells.yaml"), labelled)
        assert {name: it[NOT_RUN] for name, it in planned.items() if NOT_RUN in it} == told


@pytest.mark.parametrize(
    ("family", "setting"),
    [("ppked", "ppked.topic_share"), ("clinicalbert", "clinicalbert.pretrain_share")],
)
def test_without_labels_it_is_told_what_is_missing_or_to_do_without(
    family, setting, unlabelled, tmp_path
):
    changes = MIMIC | {"model.family": family}
    with pytest.raises(UserError, match=rf"chexpert\.csv.* or set {setting} to 0"):
        train_tiny(unlabelled, tmp_path, changes)
    assert train_tiny(unlabelled, tmp_path, changes | {setting: 0.0}) == [1, 2, 3]


def test_weights_with_reports_of_restricted_data_are_not_trained(place, tmp_path):
    settings = tiny(MIMIC | {"model.family": "ppked"})
    with pytest.raises(UserError, match="keeps the training reports in its weights, which"):
        train(
            settings, **place, out=tmp_path / "run", root=tmp_path, restricted=True,
            log_to=lambda key: lambda epoch, numbers: None,
        )  # fmt: skip
    assert not (tmp_path / "run").exists()
