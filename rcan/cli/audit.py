"""`rcan audit`: how long the reports behind a log's BLEU are, and whether all are one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rcan.cli.options import Json, Quiet, be_quiet, print_json, remark
from rcan.data.sets import Name

if TYPE_CHECKING:
    from rcan.audit.length import Corpus


def audit(
    log: Annotated[Path, typer.Argument(help="A table (.csv) or text log with BLEU-1 to BLEU-4.")],
    data: Annotated[
        Name | None,
        typer.Option(help="Data set of the references; iu_xray: R2Gen's split and protocol."),
    ] = None,
    references: Annotated[
        Path | None,
        typer.Option(help="Count the words of these: annotation.json, or the test reports."),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(min=2, help="With --references: they are cut to fewer words than this."),
    ] = None,
    studies: Annotated[int | None, typer.Option(min=2, help="Number of test studies.")] = None,
    reference_length: Annotated[
        int | None, typer.Option(min=1, help="Number of words of all test references.")
    ] = None,
    val_studies: Annotated[
        int | None, typer.Option(min=2, help="Number of validation studies.")
    ] = None,
    val_reference_length: Annotated[
        int | None, typer.Option(min=1, help="Number of words of all validation references.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find out from a log's BLEU whether a model wrote one report for all studies."""
    from rcan.audit.logs import read_log
    from rcan.audit.verdict import audit as audited
    from rcan.audit.verdict import audit_table

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
    data: Name | None, references: Path | None, max_length: int | None
) -> "dict[str, Corpus]":
    from rcan.audit.length import count_references

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
            f"expected the number of studies of {split} and the number of words of its "
            "references; got one of them: give both"
        )
    return {} if studies is None or words is None else {split: Corpus(studies, words)}
