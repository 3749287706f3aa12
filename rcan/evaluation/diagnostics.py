"""Did the model look at its studies at all? Signs of collapse onto one or a few reports.

On IU X-ray a single report repeated for every study reaches published BLEU-4, so scores alone do
not show it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from rcan.evaluation.bleu import check_pairs

TOP_SHARE = 0.5  # from here on, half the studies or more got one report
DISTINCT_SHARE = 0.05  # below it, a report serves 20 studies or more


def diagnostics(
    predictions: Sequence[str], references: Sequence[str], train_texts: Iterable[str]
) -> dict[str, float]:
    """What the predictions look like beside the references (cleaned, whole reports).

    Returns `num_studies`; `distinct_reports`; `top_share`: share of studies with the most common
    prediction; `mean_length`, `reference_mean_length` in words; `copied_from_train`: share of
    predictions that are a train report word for word.

    Raises:
        UserError: no studies, or unequal numbers of them.
    """
    check_pairs(predictions, references)
    num_studies = len(predictions)
    written = [tuple(text.split()) for text in predictions]
    known = {tuple(text.split()) for text in train_texts}
    counts = Counter(written)
    return {
        "num_studies": num_studies,
        "distinct_reports": len(counts),
        "top_share": counts.most_common(1)[0][1] / num_studies,
        "mean_length": sum(map(len, written)) / num_studies,
        "reference_mean_length": sum(len(text.split()) for text in references) / num_studies,
        "copied_from_train": sum(words in known for words in written) / num_studies,
    }


def is_collapsed(diagnostics: Mapping[str, float]) -> bool:
    """Whether half the studies got one report, or so few reports serve so many."""
    num_studies, distinct = diagnostics["num_studies"], diagnostics["distinct_reports"]
    return distinct < num_studies and (
        diagnostics["top_share"] >= TOP_SHARE or distinct < DISTINCT_SHARE * num_studies
    )


def verdict(diagnostics: dict[str, float]) -> str:
    """One plain sentence: `collapsed: ...` or `varied: ...`."""
    num_studies, distinct = diagnostics["num_studies"], diagnostics["distinct_reports"]
    top = f"{diagnostics['top_share']:.0%}".replace("%", " %")
    if distinct == num_studies:
        return f"varied: every one of {num_studies} studies got a report of its own"
    if diagnostics["top_share"] >= TOP_SHARE:
        return f"collapsed: {top} of {num_studies} studies got the same report"
    if distinct < DISTINCT_SHARE * num_studies:
        return f"collapsed: {num_studies} studies share {distinct} reports"
    return f"varied: {num_studies} studies got {distinct} different reports, the commonest {top}"
