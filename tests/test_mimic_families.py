"""Every family of models is trained on studies in the shape of MIMIC-CXR's."""

import pytest
from mimic_tree import make_studies, write_r2gen, write_tree
from model_parts import OTHER_FAMILIES, name_of
from tiny import TRANSFORMER, prepare, tiny, train_tiny

from rcan.errors import UserError
from rcan.training.train import train

MIMIC = {
    "data.name": "mimic_cxr", "data.num_views": 1, "visual.backbone": "small",
    "visual.weights": "none", "wcl.views": "augment",
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


@pytest.mark.parametrize(
    ("family", "setting"),
    [("ppked", "ppked.topic_share"), ("clinicalbert", "clinicalbert.pretrain_share")],
)
def test_without_labels_it_is_told_what_is_missing_or_to_do_without(family, setting, tmp_path):
    write_r2gen(tmp_path / "raw", make_studies(60))  # this layout has no labels
    place = prepare(tmp_path, tiny(MIMIC | {"data.root": str(tmp_path / "raw")}))
    changes = MIMIC | {"model.family": family}
    with pytest.raises(UserError, match=rf"chexpert\.csv.* or set {setting} to 0"):
        train_tiny(place, tmp_path, changes)
    assert train_tiny(place, tmp_path, changes | {setting: 0.0}) == [1, 2, 3]


def test_weights_with_reports_of_restricted_data_are_not_trained(place, tmp_path):
    settings = tiny(MIMIC | {"model.family": "ppked"})
    with pytest.raises(UserError, match="keeps the training reports in its weights, which"):
        train(
            settings, **place, out=tmp_path / "run", root=tmp_path, restricted=True,
            log_to=lambda key: lambda epoch, numbers: None,
        )  # fmt: skip
    assert not (tmp_path / "run").exists()
