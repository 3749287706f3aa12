"""`rcan submit`: cells trained as jobs, which DVC's stages then find trained."""

import json

import pytest
from repository import Repository
from tiny import TINY, TOP

from rcan.ablation import cluster, jobs
from rcan.ablation.cluster import TrainCell
from rcan.cli.submit import submit

CELLS = """
seeds: [1]
cells:
  rcan: {}
  cgm: {model.use_rve: false, model.use_wcl: false}
  transformer: {model.use_rve: false, model.use_cgm: false, model.use_wcl: false}
readings:
  wcl_denominator_all: {wcl.denominator: all}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A planned project with data, nothing trained."""
    changes = {key: json.dumps(value) for key, value in TINY.items()} | {"train.epochs": 1}
    made = Repository(tmp_path_factory.mktemp("project"), changes).warm()
    (made.folder / "ablations/cells.yaml").write_text(CELLS)
    for stage in ("preprocess", "tokenizer", "floors", "plan"):
        done = made.run(made.python, "-m", f"pipeline.{stage}")
        assert done.returncode == 0, done.stdout
    return made


def rcan(project, *arguments: str):
    code = "from rcan.cli import main; main()"
    return project.run(project.python, "-c", code, *arguments)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("cgn-1",), "'cgn-1' is no planned cell with its seed; did you mean cgm-1?"),
        (("--cluster", "slrum"), "--cluster is 'slrum'; expected slurm or local"),
        (("--cluster", "slurm"), "slurm takes no jobs here"),
        (("--slurm", "account"), "expected --slurm KEY=VALUE"),
    ],
)
def test_what_cannot_be_submitted_is_one_line(project, arguments, told):
    done = rcan(project, "submit", *arguments)
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert told.replace("'", "") in line.replace("'", "")


def test_jobs_leave_states_that_the_stages_only_write_out(project):
    done = rcan(project, "submit", "cgm-1", "--cluster", "local", "--gpus", "0", "--wait")
    assert done.returncode == 0, done.stdout
    assert "\tcgm-1" in done.stdout and "transformer" not in done.stdout
    assert not (project.folder / "runs").exists()
    written = project.run(project.python, "-m", "pipeline.train", "cgm-1")
    assert written.returncode == 0 and "epoch 1/" not in written.stdout
    assert (project.folder / "runs/cgm-1/best.safetensors").is_file()
    again = rcan(project, "submit", "cgm-1", "--cluster", "local", "--gpus", "0")
    assert again.returncode == 0 and "every cell is trained" in again.stdout


def test_a_cell_with_a_curriculum_is_not_submitted_beside_its_base(monkeypatch, capsys):
    monkeypatch.chdir(TOP)
    sent = []
    monkeypatch.setattr(jobs, "untrained", lambda *_, **__: ["cmcl-1", "transformer-1"])
    monkeypatch.setattr(jobs, "bases", lambda *_: {"cmcl-1": "transformer-1"})
    monkeypatch.setattr(cluster, "submit", lambda names, *_, **__: sent.extend(names) or {})
    submit()
    assert sent == ["transformer-1"]
    assert "cmcl-1 is not submitted: it needs transformer-1" in capsys.readouterr().err


def test_a_job_that_fails_is_named_with_its_log(project):
    data = project.folder / "data/processed/train.npy"
    whole = data.read_bytes()
    data.write_bytes(whole[:100])
    done = rcan(project, "submit", "transformer-1", "--cluster", "local", "--gpus", "0", "--wait")
    data.write_bytes(whole)
    assert done.returncode == 1
    assert "1 of 1 failed: transformer-1 (.rcan/jobs/" in done.stdout


def test_a_job_whose_time_is_up_is_queued_again_as_it_is(tmp_path):
    cell = TrainCell("cgm-1", tmp_path)
    assert cell.checkpoint().function is cell
