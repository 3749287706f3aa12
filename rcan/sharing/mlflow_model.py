"""The model as MLflow loads it, from this code: it runs the file, nothing is unpickled.

A row is a study: `image`, the bytes of a PNG, JPEG, DICOM or NumPy file (over HTTP in base64), and,
for a model of two views, `lateral`, which may be absent. Paths are not taken: a server would open
for strangers what it alone may read.
"""

import tempfile
from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

COLUMNS = {"image": "frontal", "lateral": "lateral"}
MOST_BEAMS = 100


class Reporter(PythonModel):
    """Studies in, reports out."""

    def load_context(self, context: Any) -> None:
        """Load the exported folder among the artifacts, checking its digests."""
        from rcan.sharing.loading import load_model
        from rcan.sharing.predictor import Predictor

        self._predictor = Predictor(load_model(Path(context.artifacts["model"])))

    # Without types: MLflow would take them for a schema, beside the signature that it is given.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """A report and its log-probability for each row. Raises `UserError`, naming the row."""
        from rcan.errors import UserError

        beams = (params or {}).get("beams")
        if beams is not None and not 1 <= beams <= MOST_BEAMS:
            raise UserError(f"expected beams from 1 to {MOST_BEAMS}, got {beams}")
        rows = model_input.to_dict("records")
        with tempfile.TemporaryDirectory() as folder:
            studies = [self._study(row, f"row {n}", Path(folder)) for n, row in enumerate(rows)]
            reports = list(self._predictor.reports(studies, beams))
        return [{"report": one.text, "log_probability": one.log_probability} for one in reports]

    def _study(self, row: dict[str, Any], name: str, folder: Path) -> Any:
        from rcan.errors import UserError
        from rcan.sharing.study_files import GivenStudy, read_study

        data = self._predictor.loaded.settings.data
        columns = [c for c in list(COLUMNS)[: self._predictor.num_views] if _is_given(row.get(c))]
        if "image" not in columns:
            raise UserError(f"{name}: expected the bytes of an image in the column image")
        paths = tuple(folder / column for column in columns)
        try:
            for path, column in zip(paths, columns, strict=True):
                path.write_bytes(row[column])
            return read_study(
                GivenStudy(name, paths), size=data.image_size, fit=data.fit,
                projections=[COLUMNS[column] for column in columns],
            )  # fmt: skip
        except UserError as error:
            raise UserError(str(error).replace(f"{folder}/", f"{name}, ")) from None
        except TypeError:
            raise UserError(f"{name}: expected the bytes of an image, got something else") from None


def _is_given(value: Any) -> bool:
    """An absent cell is None, or NaN from a table."""
    return value is not None and value == value


set_model(Reporter())
