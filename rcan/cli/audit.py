"""`rcan audit`: how long the reports behind a log's BLEU are, and whether all are one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rcan.cli.options import Json, Quiet, be_quiet, print_json, remark
from rcan.cli.scoring_options import Data

if TYPE_CHECKING:
    from rcan.audit.length import Corpus


def audit(
    log: Annotated[Path, typer.Argument(help="A table (.csv) or text log with BLEU-1 to -4.")],
    data: Annotated[
        Data | None, typer.Option(help="Whose references; iu_xray: R2Gen's split and protocol.")
    ] = None,
    references: Annotated[
        Path | None, typer.Option(help="Count them: annotation.json, or reports of test.")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(min=2, help="References are cut below it; with --references.")
    ] = None,
    studies: Annotated[int | None, typer.Option(min=2, help="Of test.")] = None,
    reference_length: Annotated[
        int | None, typer.Option(min=1, help="Words of all test references together.")
    ] = None,
    val_studies: Annotated[int | None, typer.Option(min=2, help="Of validation.")] = None,
    val_reference_length: Annotated[
        int | None, typer.Option(min=1, help="Words of all validation references together.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find rows of a log whose BLEU belongs to one report, the same for every study."""
    from rcan.audit.logs import read_log
    from rcan.audit.table import audit_table
    from rcan.audit.verdict import audit as audited

    be_quiet(quiet)
    corpora = _counted(data, references, max_length)
    corpora |= _numbers("val", val_studies, val_reference_length)
    corpora |= _numbers("test", studies, reference_length)
    if not corpora:
        remark("no references named: those of R2Gen's IU X-ray split are taken (--data iu_xray)")
        corpora = _preset("iu_xray")
    result = audited(read_log(log), corpora)
    if json:
        print_json(result)
    else:
        print(audit_table(result))


def _counted(
    data: Data | None, references: Path | None, max_length: int | None
) -> "dict[str, Corpus]":
    from rcan.audit.references import count_references

    if references:
        return count_references(references, data or "iu_xray", max_length)
    return _preset(data) if data else {}


def _preset(data: str) -> "dict[str, Corpus]":
    from rcan.audit.length import PRESETS
    from rcan.errors import UserError

    if data not in PRESETS:
        raise UserError(
            f"expected --data {' or '.join(PRESETS)}, whose references are counted; got {data};"
            " count them by --references, or give --studies and --reference-length"
        )
    return dict(PRESETS[data])


def _numbers(split: str, studies: int | None, words: int | None) -> "dict[str, Corpus]":
    from rcan.audit.length import Corpus
    from rcan.errors import UserError

    if (studies is None) != (words is None):
        raise UserError(
            f"expected both the studies of {split} and the words of its references; got one;"
            " give the other, too"
        )
    return {} if studies is None or words is None else {split: Corpus(studies, words)}
