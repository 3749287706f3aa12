"""Which cells a table or figure of the paper is made of, in its order, and its row for each.

A cell is one setting of the model that is trained and scored; `ablations/cells.yaml` lists them.
"""

from rcan.reporting.published import METRICS, published_table

FULL = "rcan"  # the whole model
TABLE_4 = ("rve", "cgm", "wcl", "rve_cgm", "rve_wcl", "cgm_wcl", FULL)
TABLE_5 = ("tau_0.05", "tau_0.07", "tau_0.1", "tau_0.15", "tau_0.2")
FIG_5 = ("ce_only", *(f"lambda_0.{tenths}" for tenths in range(1, 10)))


def published_row(data_name: str, cell: str) -> dict[str, float] | None:
    """The paper's scores of the row that a cell runs again; None where the paper prints none."""
    if cell in TABLE_4:
        modules = ("rve", "cgm", "wcl") if cell == FULL else cell.split("_")
        number, wanted = (
            4,
            {module: str(int(module in modules)) for module in ("rve", "cgm", "wcl")},
        )
    elif cell in TABLE_5:
        number, wanted = 5, {"tau": cell.removeprefix("tau_")}
    elif cell == "r2gencmn":
        number, wanted = 3, {"model": "R2GenCMN"}
    else:
        return None
    for row in published_table(number):
        if row["dataset"] == data_name and all(row[key] == wanted[key] for key in wanted):
            return {metric: float(row[metric]) for metric in METRICS}
    return None
