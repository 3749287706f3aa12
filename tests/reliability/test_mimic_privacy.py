"""A whole run on made-up MIMIC-CXR in PhysioNet's layout: no report and no id outside data/."""

from mimic_tree import make_studies, write_tree
from stages import make
from test_privacy import found_outside
from zygote import STAGES

SETTINGS = {
    "data.name": "mimic_cxr", "data.image_size": 32, "data.min_freq": 1, "data.num_views": 1,
    "visual.backbone": "small", "visual.weights": "none", "train.precision": "32-true",
    "wcl.views": "augment", "privacy.restricted": True,
}  # fmt: skip


def test_a_whole_run_leaves_no_report_and_no_id_outside_data(zygote, tmp_path, long, figure):
    made = make_studies(90)
    made[0].text = None  # problems to tell of
    write_tree(tmp_path / "raw", made, side=32)
    folder = make(tmp_path / "project", SETTINGS)
    for stage in STAGES:
        environment = {"RCAN_DATA": str(tmp_path / "raw")}
        ended = zygote.run(stage, folder, keep=f"{folder}.out-{stage}", environment=environment)
        assert ended.code == 0, ended.printed
    ids = [text for one in made for text in (one.id, one.patient, *dict(one.images))]
    reports = [one.expected for one in made if one.expected]
    marks = [text.lower().encode() for text in ids + reports]
    assert found_outside(folder, marks) == {}
    searched = [p for p in folder.rglob("*") if p.is_file() and "data" not in p.parts]
    assert {"results.md", "mlflow.db"} <= {path.name for path in searched}
    figure("privacy", "files searched for marks", len(searched))
