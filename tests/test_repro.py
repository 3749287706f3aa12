"""`dvc repro` on a copy of the project: from raw data to tables, and then only what is needed."""

import pytest
from repository import OUTPUTS, STAGES, Repository
from tiny import TINY


@pytest.mark.slow
def test_repro_goes_from_raw_data_to_tables_and_then_runs_only_what_a_change_needs(tmp_path):
    counts = {"demo.num_train": 24, "demo.num_val": 8, "demo.num_test": 8, "train.epochs": 1}
    project = Repository(tmp_path, TINY | counts)

    code, ran, output = project.repro()
    assert code == 0, output
    assert ran == list(STAGES)
    for out in OUTPUTS:
        assert (tmp_path / out).exists(), out
    assert set(project.runs()) == {"RVE+CGM+WCL tau=0.1 lambda=0.7 seed=1"}
    assert None not in project.runs().values()

    assert project.repro()[:2] == (0, [])

    project.set({"data.fit": "round"})
    code, ran, output = project.repro()
    assert (code != 0, ran) == (True, ["preprocess"])
    assert [line for line in output.splitlines() if line.startswith("error:")] == [
        "error: params.yaml: data.fit is 'round'; it must be squash, crop or pad"
    ]
    assert "Traceback" not in output

    project.set({"data.fit": "squash", "wcl.tau": 0.2})
    code, ran, output = project.repro()
    assert code == 0, output
    assert ran == ["train", "evaluate", "report"]
    assert set(project.runs()) == {
        "RVE+CGM+WCL tau=0.1 lambda=0.7 seed=1", "RVE+CGM+WCL tau=0.2 lambda=0.7 seed=1",
    }  # fmt: skip
    assert None not in project.runs().values()
    assert list((tmp_path / ".rcan" / "checkpoints").iterdir()) == []
