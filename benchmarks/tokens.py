"""Whether our model writes R2GenCMN's reports, token for token, given its weights.

Four kinds of weights: learnt on texts, so that reports end where reports end; the same, but no
report ends before 60 words; the same, but every word has a double with the same score, and the two
go on differently; and untrained. R2GenCMN's own sort of candidates leaves open which of equal ones
comes first; for the doubles it is given a stable one, and ours must make the same choice.
"""

from benchmarks.measure import Result
from benchmarks.pair import LearntPair, endless_weights, tied_weights


def run(options) -> list[Result]:
    """Reports of the same tokens, of each kind and in all."""
    if not options.r2gencmn:
        print("tokens are compared with R2GenCMN's: name a checkout by --r2gencmn")
        return []
    pair = LearntPair(options.r2gencmn, options.device, quick=options.quick)
    batches = range(500, 501 if options.quick else 502)
    kinds = {
        "learnt": pair.learnt,
        "endless": endless_weights(pair.learnt),
        "tied": tied_weights(pair.learnt),
        "untrained": pair.untrained,
    }
    same = {
        name: pair.write(weights, batches, stable_sort=name == "tied").same
        for name, weights in kinds.items()
    }
    results = [_count(f"same tokens, {name} weights", found) for name, found in same.items()]
    together = [one for found in same.values() for one in found]
    return [_count("same tokens, all weights", together), *results]


def _count(what: str, same: list[bool]) -> Result:
    return Result(what, [float(sum(same))], f"of {len(same)} reports", target=float(len(same)))
