"""docs/working-together.md, "Runs": two clones share one MLflow server over PostgreSQL."""

import pytest
from fabricated import KEY, scores_of, write_evaluation, write_run
from mlflow import MlflowClient
from postgresql import postgresql
from tracker_server import Served

from rcan.files import write_text
from rcan.tracking import RunFolders, open_tracker, sync

TRAININGS = {name: KEY[:-1] + name for name in "abc"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """`mlflow server`, its numbers in PostgreSQL and its files in a folder."""
    pytest.importorskip("psycopg", exc_type=ImportError)
    artifacts = tmp_path_factory.mktemp("artifacts")
    with postgresql() as store, Served(store, artifacts) as served:
        yield served.uri, artifacts


def clone(folder) -> list[RunFolders]:
    """The same three trainings, as each clone has them."""
    places = []
    for name, key in TRAININGS.items():
        place = RunFolders(run=folder / f"runs/{name}", evaluation=folder / f"evaluation/{name}")
        write_run(place.run, data="demo", changes={"wcl.lambda_ce": 0.7})
        for file in ("config.json", "best.json"):
            text = (place.run / file).read_text(encoding="utf-8")
            write_text(place.run / file, text.replace(KEY, key))
        write_evaluation(place.evaluation, scores_of("demo", num_studies=12) | {"run": key})
        places.append(place)
    return places


def test_each_training_is_there_once_whoever_brings_it(server, tmp_path, monkeypatch, figure):
    uri, artifacts = server
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    for name in ("mine", "theirs", "mine"):
        root = tmp_path / name
        assert sync(root=root, folders=clone(root)) == len(TRAININGS)
    assert open_tracker(root=tmp_path / "mine", data_name="demo").guard.finish(60)
    client = MlflowClient(uri)
    [experiment] = [e for e in client.search_experiments() if e.name != "Default"]
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.data.tags["rcan.key"] for run in runs) == sorted(TRAININGS.values())
    for run in runs:
        assert (run.info.status, run.data.metrics["BLEU-4"]) == ("FINISHED", 0.186)
        assert run.data.params["wcl.lambda_ce"] == "0.7"
        steps = [m.step for m in client.get_metric_history(run.info.run_id, "train/loss")]
        assert sorted(steps) == list(range(1, 13))
        files = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert files == {"config.json", "best.json", "history.csv"}  # none that holds reports
        assert list(artifacts.rglob(f"{run.info.run_id}/artifacts/history.csv"))
    figure("tracker", "trainings synchronised by two clones through PostgreSQL", len(runs))
