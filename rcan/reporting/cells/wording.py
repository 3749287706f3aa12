"""Names and phrases that tables, figures and the page share."""

from collections.abc import Mapping, Sequence

from rcan.reporting.cells.runs import MAIN, Model, Run
from rcan.reporting.cells.study import SIGNIFICANT, Ablations
from rcan.reporting.published import num_reports
from rcan.table import Value, measured

DATA = {
    "demo": "demo (drawn phantoms, no X-rays)",
    "iu_xray": "IU X-ray",
    "mimic_cxr": "MIMIC-CXR",
}
CELLS = {
    "transformer": "Transformer",
    "blind": "Transformer without images",
    "r2gencmn": "R2GenCMN",
    "r2gencmn_rve": "R2GenCMN + RVE",
    "rve": "RVE",
    "cgm": "CGM",
    "wcl": "WCL",
    "rve_cgm": "RVE + CGM",
    "rve_wcl": "RVE + WCL",
    "cgm_wcl": "CGM + WCL",
    "rcan": "RCAN",
    "ce_only": "CE alone",
}
FLOORS = {"best_constant": "best constant report", "most_frequent": "most frequent report"}


def data_name(name: str) -> str:
    return DATA.get(name, name)


def cell_name(cell: str) -> str:
    """A cell as a reader is told of it."""
    for letter, prefix in (("τ", "tau_"), ("λ", "lambda_")):
        if cell.startswith(prefix):
            return f"{letter} = {cell.removeprefix(prefix)}"
    return CELLS.get(cell, cell)


def ground(ablations: Ablations, protocol: str = "") -> str:
    """On what all numbers of a part stand: `demo (…), scale full, test split, 240 studies`."""
    told = (
        f"{data_name(ablations.data)}, scale {ablations.settings.scale}, test split, "
        f"{ablations.num_studies} studies"
    )
    return f"{told}, {protocol} protocol" if protocol else told


def theirs(name: str) -> str:
    """Whose studies the paper's rows were scored on."""
    count = num_reports(name, "test")
    return f"{data_name(name)}, {count:,} test reports by its Table 2"


def seeds(model: Model) -> str:
    """`1 seed`, `3 seeds`, or how many of them are there."""
    have, of = len(model.done), len(model.runs)
    told = f"{have} of {of}" if have < of else f"{have}"
    return f"{told} seed{'s' if of > 1 else ''}"


def command_of(ablations: Ablations, run: Run) -> str:
    """What trains and scores one run, with the settings that the main run was given."""
    if run.place == MAIN:
        return ablations.settings.command
    start, settings = _start_and_settings(ablations)
    reading = run.place.rpartition("-")[0] in ablations.readings
    stage = "evaluate_reading" if reading else "evaluate"
    return f"RCAN_CELLS={run.place} {start} ablations/dvc.yaml:{stage}@{run.place}{settings}"


def command_of_all(ablations: Ablations) -> str:
    """What trains and scores all runs, under the same settings."""
    start, settings = _start_and_settings(ablations)
    return f"{start} ablations/dvc.yaml{settings}"


def _start_and_settings(ablations: Ablations) -> tuple[str, str]:
    command = ablations.settings.command
    start = "dvc exp run" if command.startswith("dvc exp run") else "dvc repro"
    settings = command.removeprefix(start) + ablations.settings.seeds
    return ("dvc exp run" if ablations.settings.seeds else start), settings


def not_run(ablations: Ablations, model: Model) -> str:
    """What a row without results says."""
    if not model.runs:
        return "not in `ablations/cells.yaml`"
    return f"not run, `{command_of(ablations, model.runs[0])}`"


def lead(value: Mapping[str, float]) -> Value:
    """A difference with its interval and Holm's p; `*` where it is beyond the noise of studies, `†`
    where it is and seeds differ more."""
    told, mark = measured(value, "+.3f", minus="−"), ""
    if value["p"] < SIGNIFICANT:
        mark = "†" if value.get("sd", 0.0) > abs(value["difference"]) else "*"
    return Value(f"{told.main}{mark}", f"{told.small}; p {value['p']:.3f}")


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
