"""Two processes with gloo train as one: losses, gradients, batch statistics; each number once."""

import json
import os
import subprocess
import sys

import pytest
import torch
from tiny import TOP, prepare, tiny

from rcan.reading import read_csv
from rcan.training.checkpoint import read_tensors

# Plain gradient descent, so that weights tell gradients: Adam divides by their size.
TRAINING = """
import json, sys, torch
from pathlib import Path
from tiny import tiny
from rcan.training import loop, train

def descent(model, settings):
    groups = [{"params": model.parameters(), "lr": 0.05, "base_lr": 0.05}]
    return torch.optim.SGD(groups, momentum=0.9)

torch.set_num_threads(1)
loop.build_optimizer = descent
processed, tokenizer, floors, root = map(Path, sys.argv[1:5])
train.train(
    tiny(json.loads(sys.argv[5])), processed=processed, tokenizer=tokenizer, floors=floors,
    out=root / "run", root=root,
    log_to=lambda key: lambda epoch, numbers: print("logged", epoch, flush=True),
)
"""
# No dropout: each process draws its own. Batches of 5 of 12 studies: shares of unequal size.
SAME = {"model.dropout": 0.0, "train.epochs": 2, "train.batch_size": 5, "train.clip_norm": 0.5}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("data"), tiny())


def trained(place, root, changes: dict[str, object]) -> str:
    root.mkdir()
    script = root / "training.py"
    script.write_text(TRAINING)
    done = subprocess.run(
        [sys.executable, script, *place.values(), root, json.dumps(SAME | changes)],
        cwd=TOP, timeout=180, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": f"{TOP}:{TOP / 'tests'}", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"wcl.denominator": "all", "wcl.features": "V_hat", "train.length_buckets": 1},
        {"visual.frozen": True, "visual.standardize": True, "visual.adapter": True},
        {"model.use_wcl": False, "cgm.gate": "response", "cgm.top_k": 4},
        {"train.batch_size": 11, "model.use_wcl": False},  # of a batch of one, both have it
    ],
    ids=["full", "denominator-all", "frozen", "r2gencmn", "one-study-left"],
)
def test_two_processes_are_one(changes, place, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    trained(place, one, changes)
    printed = trained(place, two, changes | {"train.devices": 2})
    assert [line for line in printed.splitlines() if line.startswith("logged")] == [
        "logged 1", "logged 2",
    ]  # fmt: skip
    histories = [
        read_csv(root / "run" / "history.csv", {"epoch": int}, "epochs", "") for root in (one, two)
    ]
    for of_one, of_two in zip(*histories, strict=True):
        assert of_one.keys() == of_two.keys()
        for name in of_one:
            assert float(of_two[name]) == pytest.approx(float(of_one[name]), rel=1e-4), name
    weights = [read_tensors(root / "run" / "last.safetensors", "")[0] for root in (one, two)]
    for name, value in weights[0].items():
        # A study that both processes have counts twice, and n / (n - 1) is another.
        twice = changes.get("train.batch_size") == 11 and name.endswith("running_var")
        rtol = 0.2 if twice else 1e-3
        torch.testing.assert_close(weights[1][name], value, rtol=rtol, atol=1e-5, msg=name)
