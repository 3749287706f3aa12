"""`make bench`: every measurement, or those named; prints its tables and keeps them.

python -m benchmarks decoding training --r2gencmn path/of/R2GenCMN --rounds 10
"""

import argparse
import importlib
import os
from pathlib import Path

from benchmarks.tables import keep, render

ALL = (
    "startup", "scoring", "images", "tokens", "decoding", "training", "modules", "growth",
    "captioners", "threads",
)  # fmt: skip
PEERS = ("r2gencmn", "r2gen", "self_critical", "cider")
FOR_A_GPU = ("tokens", "decoding", "training", "modules", "growth", "paper")


def main() -> None:
    os.environ["MPLBACKEND"] = "agg"  # with a notebook's, matplotlib may refuse to load
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ALL)}, paper")
    parser.add_argument("--r2gencmn", type=Path, help="a checkout of R2GenCMN")
    parser.add_argument("--r2gen", type=Path, help="a checkout of R2Gen")
    parser.add_argument("--self-critical", type=Path, help="a checkout of self-critical.pytorch")
    parser.add_argument("--cider", type=Path, help="a checkout of ruotianluo/cider")
    parser.add_argument("--rounds", type=int, default=10, help="rounds of each pair")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--quick", action="store_true", help="smallest sizes, one round: a trial")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    for name in options.names:
        if name not in (*ALL, "paper"):
            parser.error(f"no measurement {name!r}: choose from {', '.join(ALL)}, paper")
    for path in (getattr(options, peer) for peer in PEERS):
        if path and not path.is_dir():
            parser.error(f"{path} is no folder: name a checkout")
    if options.device not in ("cpu", "cuda"):
        parser.error(f"--device is {options.device!r}: cpu or cuda")
    if options.rounds < 1:
        parser.error(f"--rounds is {options.rounds}: 1 or more")
    if options.quick:
        options.rounds = 1
    for name in options.names or (ALL if options.device == "cpu" else FOR_A_GPU):
        print(f"\n# {name}", flush=True)
        results = importlib.import_module(f"benchmarks.{name}").run(options)
        keep(results, name, options.out, command=_command(name, options))
        print(render(results), flush=True)
    from benchmarks.figure import draw
    from benchmarks.tables import write_all

    write_all(options.out)
    draw(options.out)


def _command(name: str, options: argparse.Namespace) -> str:
    """What measures this alone, with folders by their names: places on a machine are its own."""
    words = [name, "--rounds", str(options.rounds)]
    for peer in PEERS:
        folder = getattr(options, peer)
        words += [f"--{peer.replace('_', '-')}", folder.resolve().name] if folder else []
    words += ["--device", options.device] if options.device != "cpu" else []
    return " ".join(words + ["--quick"] * options.quick)


if __name__ == "__main__":
    main()
