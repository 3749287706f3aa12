"""Who may know whom: imports point down only, and heavy libraries load where they are used."""

import ast
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import pytest
from imports import TOP, file_of, imported, modules_named, sources

# Each part of the project, and all that it may import besides itself.
MAY_IMPORT = {
    "errors": set(),
    "streams": set(),
    "files": {"errors"},
    "reading": {"errors"},
    "code": set(),
    "config": {"errors", "reading", "data"},  # of data, the names of its sets
    "project": {"errors"},
    "dotted": set(),
    "table": set(),
    "cores": set(),
    "command": {"dotted", "project", "reading", "evaluation"},
    "text": {"errors", "files", "reading"},
    "data": {"errors", "files", "reading", "text"},
    "model": {"errors", "config"},  # no tokenizer, no file, no data set
    "generation": {"errors", "config", "data", "text"},  # not even the model
    "evaluation": {"errors", "files", "reading", "table", "text", "data"},
    "training": {
        "errors", "files", "reading", "code", "config", "text", "data", "model", "generation",
        "evaluation",
    },
    "controls": {"errors", "text", "data", "evaluation", "training"},
    "ablation": {"errors", "files", "reading", "code", "config", "data", "training"},
    "attention": {"errors", "config", "data", "model", "evaluation"},
    "reporting": {
        "errors", "files", "reading", "dotted", "table", "text", "data", "evaluation", "attention",
        "ablation", "scoring",
    },
    # of reporting, `published` alone
    "tracking": {
        "errors", "files", "reading", "dotted", "config", "project", "ablation", "evaluation",
        "reporting",
    },
    "machine": {"errors", "cores", "project", "evaluation", "tracking"},
    "settings_table": {"errors", "reading", "dotted", "config"},
    "scoring": {  # neither model nor training
        "errors", "reading", "dotted", "table", "text", "data", "evaluation",
    },
    "audit": {"errors", "reading", "table", "data", "evaluation", "scoring"},
    "sharing": {
        "errors", "streams", "files", "reading", "table", "config", "text", "data", "model",
        "generation", "training", "ablation", "attention", "evaluation", "reporting", "tracking",
    },
    "cli": {  # of reporting, `published` and what `rcan score --beside` tells
        "errors", "streams", "files", "reading", "table", "project", "machine", "settings_table",
        "evaluation", "tracking", "scoring", "audit", "config", "ablation", "sharing", "data",
        "reporting",
    },
    "__main__": {"cli"},
    "pipeline": {
        "errors", "streams", "files", "reading", "config", "project", "command", "dotted", "text",
        "data", "generation", "evaluation", "training", "ablation", "attention", "reporting",
        "tracking", "sharing", "controls", "code", "model", "scoring",
    },
}  # fmt: skip

# Libraries that are slow to load or may be absent, and the only places that may name them.
ONLY_IN = {
    "mlflow": [
        "rcan/tracking/database.py", "rcan/tracking/tracker.py", "rcan/sharing/registry.py",
        "rcan/sharing/mlflow_model.py",
    ],
    "matplotlib": ["rcan/reporting"],
    "pandas": ["rcan/table.py"],
    "jinja2": ["rcan/table.py", "rcan/reporting"],
    "markdown_it": ["rcan/reporting"],
    "torchvision": ["rcan/model/visual/cnn.py"],
    "lightning_fabric": ["rcan/training"],
    "torch": [
        "rcan/data/batches.py", "rcan/data/features.py", "rcan/model", "rcan/generation",
        "rcan/controls", "rcan/training", "rcan/attention/weights.py", "rcan/ablation/jobs.py",
        "rcan/machine.py", "rcan/sharing/loading.py", "rcan/sharing/predictor.py",
    ],
    "tokenizers": ["rcan/text/tokenizer.py"],
    "pydantic": ["rcan/config", "rcan/evaluation/schema.py"],
    "typer": ["rcan/cli"],
    "submitit": ["rcan/ablation/cluster.py"],
    "pydicom": ["rcan/sharing/dicom.py", "rcan/sharing/dicom_grey.py"],
    "dvc": [],
    "hydra": [],
}  # fmt: skip

HEAVY = {"torch", "torchvision", "mlflow", "pandas", "matplotlib", "dvc"}


def part_of(path) -> str:
    """`data` for rcan/data/store.py, `pipeline` for pipeline/train.py."""
    top, *rest = path.relative_to(TOP).with_suffix("").parts
    return rest[0] if top == "rcan" else top


def is_under(path, place: str) -> bool:
    name = path.relative_to(TOP).as_posix()
    return name == place or name.startswith(f"{place}/")


def test_every_part_of_the_project_has_its_rule():
    assert {part_of(path) for path in sources()} - {"__init__"} == set(MAY_IMPORT)


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_imports_point_down_only(part):
    for path in sources():
        if part_of(path) == part:
            known = {part_of(file) for file in imported(path)} - {part, "__init__"}
            assert known <= MAY_IMPORT[part], path


def test_the_rules_allow_no_circle():
    parts = list(MAY_IMPORT)
    while parts:
        lowest = [part for part in parts if not MAY_IMPORT[part] & set(parts)]
        assert lowest, f"{parts} may import each other"
        parts = [part for part in parts if part not in lowest]


def test_the_picture_of_the_house_is_true():
    """README's rows: a folder imports from lower rows, and from its right in its own."""
    text = (TOP / "README.md").read_text(encoding="utf-8")
    (picture,) = re.findall(r"```mermaid\n(.*?)```", text, re.DOTALL)
    drawn = re.findall(r'^  (row\d)\["([\w ·]+)<br>', picture, re.MULTILINE)
    rows = [folders.split(" · ") for _, folders in drawn]
    folders = [folder for row in rows for folder in row]
    there = {path.name for path in (TOP / "rcan").iterdir() if (path / "__init__.py").is_file()}
    assert sorted(folders) == sorted(there | {"pipeline"}), "draw them in README.md"
    for place, folder in enumerate(folders):
        above = MAY_IMPORT[folder] & set(folders[:place])
        assert not above, f"README.md draws {folder} below {above}, which it imports"
    assert f"  {' --> '.join(name for name, _ in drawn)}\n" in picture
    for upper, lower in pairwise(rows):
        below = set().union(*(MAY_IMPORT[folder] for folder in upper))
        assert below & set(lower), f"README.md: an arrow from {upper} to {lower}, and no import"


def test_no_two_modules_have_one_name():
    """But a command, a table of cells or a family's model may have that of what it is of."""
    of_another = {"cli", "cells", "families"}
    named = Counter(
        path.name
        for path in sources()
        if part_of(path) != "pipeline" and not of_another & set(path.relative_to(TOP).parts)
    )
    del named["__init__.py"]
    assert [name for name, number in named.items() if number > 1] == []


@pytest.mark.parametrize(
    ("part", "of", "known"),
    [
        ("tracking", "reporting", ("published",)),
        ("tracking", "evaluation", ("results", "scores")),
        ("sharing", "evaluation", ("results", "schema", "scores")),
        ("cli", "reporting", ("published", "beside", "beside_page", "beside_tables")),
    ],
)
def test_some_know_a_part_of_another(part, of, known):
    allowed = {file_of(f"rcan.{of}"), *(file_of(f"rcan.{of}.{name}") for name in known)}
    for path in sources():
        if part_of(path) == part:
            assert {file for file in imported(path) if part_of(file) == of} <= allowed


def test_a_family_is_known_by_its_own_modules_alone():
    for place in (TOP / "rcan" / "model" / "families", TOP / "rcan" / "config" / "families"):
        for path in sources():
            for file in imported(path):
                if (
                    file.is_relative_to(place)
                    and file.parent.name + file.stem != "families__init__"
                ):
                    name = file.relative_to(place).with_suffix("").parts[0]
                    own = [f"rcan/{part}/families/{name}" for part in ("model", "config")]
                    assert any(is_under(path, one) or is_under(path, f"{one}.py") for one in own)


# Circles of annotations: what stands first knows the second under TYPE_CHECKING alone.
OF_TYPES = {
    # Lists the families, which section `model` asks for, and says of which class their settings are
    ("rcan/config/families/__init__.py", "rcan/config/sections.py"),
}


def taken_from(path) -> set:
    """The modules that a module takes something from; a package, if that is no module of it."""
    files = {name: file_of(name) for name in modules_named(path)}
    asked = {name.rpartition(".")[0] for name, file in files.items() if file is None}
    return {
        file
        for name, file in files.items()
        if file and file != path and (file.name != "__init__.py" or name in asked)
    }


def test_no_module_knows_itself_through_others():
    known = {path: taken_from(path) for path in sources()}
    for path, other in OF_TYPES:
        known[TOP / path].remove(TOP / other)
    while lowest := [path for path, below in known.items() if not below & known.keys()]:
        for path in lowest:
            del known[path]
    assert not known, "they import each other, or something that does"


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_named_only_where_it_belongs(library):
    for path in sources():
        if library in {name.split(".")[0] for name in modules_named(path)}:
            assert any(is_under(path, place) for place in ONLY_IN[library]), path


# What is loaded by importing a module: some pay for it in every command, some must never need it.
LIGHT = [
    ("rcan.cli", HEAVY | {"pydantic", "numpy"}),
    ("rcan.config", HEAVY | {"numpy"}),
    ("rcan.tracking", HEAVY),
    ("rcan.sharing.loading, rcan.sharing.predictor", {"lightning_fabric", "mlflow", "pandas"}),
    ("rcan.sharing.export, rcan.sharing.study_files, rcan.sharing.registry", HEAVY | {"pydicom"}),
    ("rcan.text.cleaning, rcan.text.tokenizer", HEAVY),
    ("rcan.data.preprocess, rcan.data.store", HEAVY),
    ("rcan.evaluation.evaluate", HEAVY),
    ("rcan.reporting.report", HEAVY - {"matplotlib", "pandas"}),
    ("pipeline.preprocess", HEAVY),
    ("pipeline.tokenizer", HEAVY),
    ("pipeline.plan", HEAVY),
    ("pipeline.train", HEAVY),
    ("pipeline.evaluate", HEAVY),
    ("pipeline.controls", HEAVY),
    ("pipeline.tables", HEAVY - {"matplotlib", "pandas"}),
]


@pytest.mark.parametrize(("modules", "forbidden"), LIGHT, ids=[m for m, _ in LIGHT])
def test_importing_a_light_module_loads_nothing_heavy(modules, forbidden):
    code = f"import sys, {modules}; print(*{forbidden} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=TOP, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.split() == []


def test_help_loads_nothing_heavy():
    code = "import sys; sys.argv = ['rcan', '--help']; from rcan.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], cwd=TOP, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert "sync" in done.stdout
    loaded = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert not loaded & (HEAVY | {"pydantic", "numpy"})


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(TOP)))
def test_every_module_says_what_it_is(path):
    text = path.read_text(encoding="utf-8")
    if text or path.name != "__init__.py":
        assert ast.get_docstring(ast.parse(text)), path


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(TOP)))
def test_no_file_is_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
