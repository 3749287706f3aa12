"""An exported model in MLflow's registry, as `rcan-<data set>` with the alias `best`."""

import contextlib
import io
import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path

from rcan.errors import UserError
from rcan.sharing.export import Exported
from rcan.sharing.exported_folder import read_exported
from rcan.tracking import open_tracker
from rcan.tracking.database import store_uri
from rcan.tracking.guard import without_password

ALIAS = "best"
_STORE = "MLFLOW_TRACKING_URI"
SECONDS = 60.0  # that the tracker may take to open
_NEEDED = (  # by what is loaded; the model brings this project's own code with it
    "numpy", "pandas", "pillow", "pydantic", "pydicom", "safetensors", "tokenizers", "torch",
    "torchvision", "tqdm",
)  # fmt: skip


def register(exported: Exported, root: Path) -> str:
    """Log the folder of `exported` as a model and give its new version the alias `best`.

    Returns its address, `models:/rcan-demo@best`. Raises `UserError` where MLflow cannot be had.
    """
    _, settings = read_exported(exported.folder)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    tracker = open_tracker(root=root, data_name=exported.data)
    if not tracker.guard.finish(SECONDS):
        raise UserError("MLflow is not available, so nothing was registered; mend it and try again")
    try:
        with _store(root):
            return _register(
                exported, tracker.experiment_id,
                num_views=settings.data.num_views, beam_size=settings.generate.beam_size,
            )  # fmt: skip
    except Exception as error:  # MLflow's, the database's, the network's
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(
            f"MLflow did not register the model ({without_password(said)}); mend it and try again"
        ) from error


@contextlib.contextmanager
def _store(root: Path) -> Iterator[None]:
    """MLflow's own functions speak to the project's store meanwhile, and not to the terminal."""
    import mlflow

    before = os.environ.get(_STORE)
    mlflow.set_tracking_uri(store_uri(root))
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # as if it had never been set
        if before is not None:
            os.environ[_STORE] = before


def _register(exported: Exported, experiment_id: str, *, num_views: int, beam_size: int) -> str:
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    columns = [ColSpec("binary", "image"), ColSpec("binary", "lateral", required=False)]
    signature = ModelSignature(
        inputs=Schema([*columns[:num_views]]),
        outputs=Schema([ColSpec("string", "report"), ColSpec("double", "log_probability")]),
        params=ParamSchema([ParamSpec("beams", "long", beam_size)]),
    )
    name, tags = f"rcan-{exported.data}", _tags(exported)
    client = mlflow.MlflowClient()
    mlflow.set_experiment(experiment_id=experiment_id)
    here = Path(__file__)
    logged = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(here.with_name("mlflow_model.py")),
        artifacts={"model": str(exported.folder.resolve())},
        signature=signature,
        code_paths=[str(here.parents[1])],
        pip_requirements=_requirements(),
        tags=tags,
    )
    runs = client.search_runs([experiment_id], f"tags.`rcan.key` = '{exported.run}'")
    with contextlib.suppress(MlflowException):  # it is there already, or the next line fails too
        client.create_registered_model(name)
    version = client.create_model_version(
        name, logged.model_uri, model_id=logged.model_id, tags=tags,
        run_id=runs[0].info.run_id if runs else None,
        description=f"{exported.name}. Not for clinical use; see README.md among its artifacts.",
    )  # fmt: skip
    client.set_registered_model_alias(name, ALIAS, str(version.version))
    return f"models:/{name}@{ALIAS}"


def _tags(exported: Exported) -> dict[str, str]:
    return {"rcan.key": exported.run, "restricted": str(exported.restricted).lower()}


def _requirements() -> list[str]:
    """The packages it was registered with, at their versions."""
    found = []
    for package in ("mlflow", *_NEEDED):
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{package}=={installed(package).partition('+')[0]}")
    return found
