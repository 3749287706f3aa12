"""MLflow's runs, rebuilt from files."""

import subprocess

import pytest
from fabricated import KEY, scores_of, write_evaluation, write_run

from rcan.dotted import flatten
from rcan.errors import UserError
from rcan.files import write_json, write_text
from rcan.tracking import RunFolders, epoch_metrics, open_tracker, score_metrics, sync
from rcan.tracking.guard import Guard


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A repository with a database in it: creating one takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        folder = tmp_path_factory.mktemp("repository")
        assert open_tracker(root=folder, data_name="iu_xray").guard.finish(60)
        yield folder


@pytest.fixture
def place(tmp_path) -> RunFolders:
    """A trained and evaluated run, away from the repository as in an experiment."""
    place = RunFolders(
        run=tmp_path / "runs/main",
        evaluation=tmp_path / "data/evaluation/main",
        reports=tmp_path / "reports",
    )
    write_run(place.run, data="iu_xray", changes={"wcl.lambda_ce": 0.7})
    write_evaluation(place.evaluation, scores_of("iu_xray", num_studies=12))
    write_text(place.reports / "results.md", "# Results\n")
    write_text(place.reports / "examples" / "examples.md", "report text\n")
    return place


def recorded(root):
    """All runs, each with its history of training loss and its files."""
    tracker = open_tracker(root=root, data_name="iu_xray")
    assert tracker.guard.finish(60)
    client = tracker.client
    return [
        (
            run,
            [m.step for m in client.get_metric_history(run.info.run_id, "train/loss")],
            {file.path for file in client.list_artifacts(run.info.run_id)},
            {file.path for file in client.list_artifacts(run.info.run_id, "reports")},
        )
        for run in client.search_runs([tracker.experiment_id])
    ]


def test_sync_rebuilds_a_whole_run_and_a_second_time_changes_nothing(root, place):
    assert sync(root=root, folders=[place]) == 1
    [(run, steps, files, reports)] = recorded(root)
    assert (run.info.run_name, run.info.status) == ("RVE+CGM+WCL tau=0.1", "FINISHED")
    assert run.data.params["wcl.tau"] == "0.1"
    assert run.data.tags["rcan.key"] == KEY
    assert run.data.tags["paper.BLEU-4"] == "0.186"
    assert run.data.metrics["BLEU-4"] == 0.186
    assert run.data.metrics["floor/BLEU-4"] == 0.171
    assert steps == list(range(1, 13))
    assert {"config.json", "history.csv", "scores.json", "predictions.csv"} <= files
    assert reports == {"reports/results.md"}

    assert sync(root=root, folders=[place]) == 1
    [(again, steps_again, *_)] = recorded(root)
    assert steps_again == steps
    assert again.info.end_time == run.info.end_time
    assert again.data.metrics == run.data.metrics


def test_what_a_tracker_missed_while_down_is_caught_up(root, place, monkeypatch, capfd):
    best = (place.run / "best.json").read_text().replace(KEY, "9" * 32)
    write_text(place.run / "best.json", best)
    tracker = open_tracker(root=root, data_name="iu_xray")
    with tracker.run(key="9" * 32, name="cut short", params={}, tags={}) as run:
        run.log_epoch(1, {"train/loss": 3.0})
        assert tracker.guard.finish(60)
        tracker.guard.close(OSError("database is gone"))
        run.log_epoch(2, {"train/loss": 2.0})
    assert "database is gone" in capfd.readouterr().err
    assert sync(root=root, folders=[place]) == 1
    [(run, steps, *_)] = [r for r in recorded(root) if r[0].data.tags["rcan.key"] == "9" * 32]
    assert (run.info.run_name, run.info.status) == ("cut short", "FINISHED")
    assert sorted(steps) == list(range(1, 13))


def test_a_run_that_is_not_trained_yet_is_passed_over(root, tmp_path):
    nothing = RunFolders(run=tmp_path / "runs/later")
    assert sync(root=root, folders=[nothing]) == 0


def test_sync_without_mlflow_says_so_in_one_line_and_goes_on(place, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert sync(root=tmp_path, folders=[place]) == 0
    assert capfd.readouterr().err.count("\n") == 1


def test_a_damaged_file_is_named(root, place):
    write_text(place.run / "config.json", "{")
    with pytest.raises(UserError, match=r"config\.json"):
        sync(root=root, folders=[place])


def test_report_text_goes_to_no_server(place, tmp_path, monkeypatch):
    sent = []

    class Server:
        local = False
        guard = Guard("server", "")

        def attach(self, **_):
            return self

        def __getattr__(self, name):
            return lambda *arguments: sent.append((name, *arguments))

    monkeypatch.setattr("rcan.tracking.restore.open_tracker", lambda **_: Server())
    sync(root=tmp_path, folders=[place])
    files = {path.name for name, paths, *_ in sent if name == "log_files" for path in paths}
    assert files == {"config.json", "best.json", "history.csv", "results.md"}


def test_settings_become_one_level_of_dotted_keys():
    nested = {"scale": "full", "wcl": {"tau": 0.1}, "cgm": {"top_k": None}}
    assert flatten(nested) == {"scale": "full", "wcl.tau": 0.1, "cgm.top_k": None}


def test_a_loss_that_is_off_is_not_logged():
    row = {"epoch": "3", "loss": "1.5", "loss_wcl": "", "lr": None, "val_BLEU-4": 0.2, "other": 1}
    assert epoch_metrics(row) == {"train/loss": 1.5, "val/BLEU-4": 0.2}


def test_bare_names_are_strict_scores():
    metrics = score_metrics(scores_of(model=0.2, constant=0.1))
    assert metrics["BLEU-4"] == 0.2
    assert metrics["floor/BLEU-4"] == 0.1
    assert metrics["paper_protocol/BLEU-4"] == pytest.approx(0.204)


def with_controls(f1: object = 0.25) -> dict:
    return scores_of() | {
        "controls": {"image_swap": {"strict": {"fall": {"BLEU-4": {"difference": 0.03}}}}},
        "findings": {"model": {"macro": {"f1": {"score": f1}}}},
    }


def test_controls_are_metrics_where_the_evaluation_gives_them():
    known = score_metrics(scores_of())
    assert known["predictions/copied_from_train"] == 0.02
    new = {"control/fall_BLEU-4": 0.03, "findings/macro_F1": 0.25}
    assert score_metrics(with_controls()) == known | new
    assert "findings/macro_F1" not in score_metrics(with_controls(None))


@pytest.mark.parametrize("scores", [with_controls("much"), scores_of() | {"controls": {}}])
def test_controls_that_are_no_numbers_are_one_line(root, place, scores):
    write_json(place.evaluation / "scores.json", scores)
    with pytest.raises(UserError, match=r"scores\.json, (findings|controls).*expected"):
        sync(root=root, folders=[place])


# DVC's experiments

LOCK = """schema: '2.0'
stages:
  evaluate:
    deps:
    - path: runs/main
      hash: md5
      md5: 0.dir
  train:
    cmd: python -m pipeline.train
    outs:
    - path: runs/main
      hash: md5
      md5: {}.dir
      size: 4
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository of its own: (folder, a function that makes an experiment of a trained model)."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / "repository"
    folder.mkdir()
    who = ("-c", "user.name=tests", "-c", "user.email=tests@example.org")

    def git(*arguments):
        subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)

    def experiment(name, model):
        (folder / "dvc.lock").write_text(LOCK.format(model))
        git("add", "dvc.lock")
        git("commit", "--allow-empty", "--quiet", "-m", name)
        git("update-ref", f"refs/exps/ab/{'0' * 38}/{name}", "HEAD")

    git("init", "--quiet")
    return folder, experiment


def test_an_experiment_that_equals_another_is_found_at_the_others_run(repository, place):
    folder, experiment = repository
    for name, model in (("first", "a"), ("equal", "a"), ("other", "b")):
        experiment(name, model)
    (folder / "dvc.lock").write_text("stages: {")
    sync(root=folder, folders=[place])
    tracker = open_tracker(root=folder, data_name="iu_xray")
    assert tracker.guard.finish(60)

    def names() -> str | None:
        [run] = tracker.client.search_runs([tracker.experiment_id])
        return run.data.tags.get("dvc.exp")

    assert names() is None
    [run] = tracker.client.search_runs([tracker.experiment_id])
    tracker.client.set_tag(run.info.run_id, "dvc.exp", "first")
    sync(root=folder, folders=[place])
    assert names() == "equal first"
    experiment("third", "a")
    sync(root=folder, folders=[place])
    assert names() == "equal first third"


def test_an_experiment_that_equals_the_main_run_is_found_there(repository, place):
    folder, experiment = repository
    experiment("other", "b")
    experiment("equal", "a")  # as dvc.lock has it now
    write_run(folder / "runs/main", data="iu_xray", changes={"wcl.lambda_ce": 0.7})
    main = RunFolders(run=folder / "runs/main")
    sync(root=folder, folders=[main])
    tracker = open_tracker(root=folder, data_name="iu_xray")
    assert tracker.guard.finish(60)
    [run] = tracker.client.search_runs([tracker.experiment_id])
    assert run.data.tags["dvc.exp"] == "equal"
