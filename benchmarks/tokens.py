"""Whether our models write the peers' reports, token for token, given their weights.

Four kinds of weights: learnt on texts, so that reports end where reports end; the same, but no
report ends before 60 words; the same, but every word has a double with the same score, and the two
go on differently; and untrained. The peers' own sort of candidates leaves open which of equal ones
comes first; for the doubles it is given a stable one, and ours must make the same choice.
"""

from pathlib import Path

from benchmarks.measure import Result
from benchmarks.pair import LearntPair, endless_weights, tied_weights
from benchmarks.peers import peers_of


def run(options) -> list[Result]:
    """Reports of the same tokens, of each kind and in all, beside each peer that is there."""
    there = peers_of(options)
    if not there:
        print("tokens are compared with peers': name checkouts by --r2gencmn and --r2gen")
    return [result for name, checkout in there.items() for result in _of(name, checkout, options)]


def _of(peer: str, checkout: Path, options) -> list[Result]:
    pair = LearntPair(peer, checkout, options.device, quick=options.quick)
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
    what = f"same tokens as {peer}"
    results = [_count(f"{what}, {name} weights", found) for name, found in same.items()]
    together = [one for found in same.values() for one in found]
    return [_count(f"{what}, all weights", together), *results]


def _count(what: str, same: list[bool]) -> Result:
    return Result(what, [float(sum(same))], f"of {len(same)} reports", target=float(len(same)))
