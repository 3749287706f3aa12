"""Stage tables: every cell beside the paper, as tables, figures and one page."""

from pathlib import Path

from pipeline.stage import (
    EVALUATIONS,
    FLOORS,
    METEOR_PARTS,
    PROCESSED,
    REPORTS,
    RUNS,
    TOKENIZER,
    run,
)
from rcan.ablation.cells import CELLS, load_cells
from rcan.ablation.plan import PLAN
from rcan.command import command, seeds
from rcan.config import PipelineSettings
from rcan.data.store import open_split
from rcan.evaluation.kept_floors import read_floors
from rcan.evaluation.paraphrases import KeptParts
from rcan.evaluation.protocols import PROTOCOLS, reference
from rcan.evaluation.results import PREDICTIONS
from rcan.evaluation.scores import Scores, score_systems
from rcan.project import git_output, git_state, project_root
from rcan.reporting.cells.page import Places, write_ablations
from rcan.reporting.cells.study import Settings, read_ablations
from rcan.scoring import rexrank
from rcan.scoring.texts import read_texts
from rcan.text.tokenizer import Tokenizer
from rcan.tracking import run_folders, sync

PLACES = Places(
    tables=REPORTS / "ablations",
    examples=REPORTS / "cases" / "examples",
    pointing=REPORTS / "cases" / "fig4.csv",
    page=REPORTS / "index.html",
    ledger=Path("docs/readings.md"),
)


def main(settings: PipelineSettings) -> None:
    ablations = read_ablations(
        plan=PLAN,
        runs=RUNS,
        evaluations=EVALUATIONS,
        processed=PROCESSED,
        main=settings.used(),
        cells=load_cells(CELLS),
        settings=Settings(
            scale=settings.scale,
            resamples=settings.eval.resamples,
            seed=settings.eval.seed,
            commit=_commit(),
            command=command(),
            seeds=seeds(),
        ),
        floors=floor_scores() if FLOORS.exists() else None,
        rexrank=rexrank_scores(settings) if settings.data.name == rexrank.DATA else {},
    )
    write_ablations(ablations, PLACES)
    runs = [run for model in ablations.models.values() for run in model.runs]
    done = sum(run.result is not None for run in runs)
    print(f"{done} of {len(runs)} runs are in {PLACES.tables} and {PLACES.page}")
    root = project_root()
    if held := sync(root=root, folders=run_folders(Path.cwd())):
        print(f"{held} runs are in MLflow; `rcan ui` shows them")


def floor_scores() -> dict[str, dict[str, Scores]]:
    """protocol -> floor -> its scores on the test split, study by study, which no run keeps."""
    kept = read_floors(FLOORS, processed=PROCESSED, tokenizer=TOKENIZER)
    words = Tokenizer.load(TOKENIZER).vocabulary
    texts = [study.text for study in open_split(PROCESSED, "test").studies]
    systems = {
        (protocol, floor): (
            [report] * len(texts), [reference(t, protocol, words, kept.max_length) for t in texts]
        )
        for protocol in PROTOCOLS for floor, report in kept.reports[protocol].items()
    }  # fmt: skip
    found: dict[str, dict[str, Scores]] = {protocol: {} for protocol in PROTOCOLS}
    parts = KeptParts(project_root() / METEOR_PARTS, words)
    scored = score_systems(list(systems.values()), parts=parts)
    for (protocol, floor), scores in zip(systems, scored, strict=True):
        found[protocol][floor] = scores
    return found


def rexrank_scores(settings: PipelineSettings) -> dict[str, dict[str, float]]:
    """Run or floor -> ReXrank's BLEU-2 against the reports as their source gives them, of what is
    written for these test studies; of a run whose numbers alone are here, as it was published."""
    options = {"resamples": settings.eval.resamples, "seed": settings.eval.seed}
    test = {study.id: study.report for study in open_split(PROCESSED, "test").studies}
    written = {}
    if FLOORS.exists():
        floors = read_floors(FLOORS, processed=PROCESSED, tokenizer=TOKENIZER).reports["strict"]
        written = {floor: [text] * len(test) for floor, text in floors.items()}
    for path in sorted(EVALUATIONS.glob(f"*/{PREDICTIONS}")):
        by_id = read_texts(path, "predictions", tell=False).by_id
        if by_id.keys() == test.keys():  # else of other data than there are now
            written[path.parent.name] = [by_id[name] for name in test]
    remedy = "remove it, and put the published runs back"
    kept = EVALUATIONS.glob(f"*/{rexrank.FILE}")
    known = {path.parent.name: rexrank.read_rexrank(path, remedy) for path in kept}
    scored = {
        name: rexrank.rexrank_bleu(texts, list(test.values()), **options)
        for name, texts in written.items()
    }
    return known | scored


def _commit() -> str:
    """That of the code, and whether it is edited; edited settings are told by the commands."""
    code = git_output("diff", "HEAD", "--name-only", "--", "rcan", "pipeline")
    return f"{(git_state()['commit'] or 'unknown')[:10]}{', edited' if code else ''}"


if __name__ == "__main__":
    run(main)
