"""Two processes with gloo train as one: losses, gradients, batch statistics; each number once."""

import json
import os
import subprocess
import sys

import pytest
import torch
from tiny import TOP, prepare, tiny

from rcan.reading import read_csv
from rcan.training import loop
from rcan.training.checkpoint import read_tensors
from rcan.training.train import train

# Plain gradient descent, so that weights tell gradients: Adam divides by their size.
TRAINING = """
import json, sys, torch
from pathlib import Path
from test_processes import descent
from tiny import tiny
from rcan.training import loop, train

torch.set_num_threads(1)
loop.build_optimizer = descent
processed, tokenizer, floors = map(Path, sys.argv[1:4])
for name, (root, changes) in json.loads(sys.argv[4]).items():
    train.train(
        tiny(changes), processed=processed, tokenizer=tokenizer, floors=floors,
        out=Path(root) / "run", root=Path(root),
        log_to=lambda key: lambda epoch, numbers: print("logged", name, epoch, flush=True),
    )
"""
# No dropout: each process draws its own. Batches of 5 of 12 studies: shares of unequal size.
SAME = {"model.dropout": 0.0, "train.epochs": 2, "train.batch_size": 5, "train.clip_norm": 0.5}
CASES = {
    "full": {},
    "denominator-all": {
        "wcl.denominator": "all", "wcl.features": "V_hat", "train.length_buckets": 1
    },
    "frozen": {"visual.frozen": True, "visual.standardize": True, "visual.adapter": True},
    "r2gencmn": {"model.use_wcl": False, "cgm.gate": "response", "cgm.top_k": 4},
    # Of a batch of one, both have it.
    "one-study-left": {"train.batch_size": 11, "model.use_wcl": False},
}  # fmt: skip


def descent(model, settings):
    groups = [{"params": model.parameters(), "lr": 0.05, "base_lr": 0.05}]
    return torch.optim.SGD(groups, momentum=0.9)


def trained_by_two(place, folder) -> list[str]:
    """Train all cases one after the other, by the same two processes; what they logged."""
    script = folder / "training.py"
    script.write_text(TRAINING)
    cases = {
        name: (str(folder / name), SAME | changes | {"train.devices": 2})
        for name, changes in CASES.items()
    }
    done = subprocess.run(
        [sys.executable, script, *place.values(), json.dumps(cases)],
        cwd=TOP, timeout=300, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": f"{TOP}:{TOP / 'tests'}", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("logged")]


def test_two_processes_are_one(tmp_path, monkeypatch):
    place = prepare(tmp_path / "data", tiny())
    logged = trained_by_two(place, tmp_path)
    assert logged == [f"logged {name} {epoch}" for name in CASES for epoch in (1, 2)]
    torch.set_num_threads(1)
    monkeypatch.setattr(loop, "build_optimizer", descent)
    for case, changes in CASES.items():
        one, two = tmp_path / f"{case}-one", tmp_path / case
        settings = tiny(SAME | changes)
        train(settings, **place, out=one / "run", root=one, log_to=lambda key: lambda *told: None)
        of_both = [
            read_csv(root / "run" / "history.csv", {"epoch": int}, "epochs", "")
            for root in (one, two)
        ]
        for of_one, of_two in zip(*of_both, strict=True):
            assert of_one.keys() == of_two.keys()
            for name in of_one:
                expected = pytest.approx(float(of_one[name]), rel=1e-4)
                assert float(of_two[name]) == expected, (case, name)
        weights = [read_tensors(root / "run" / "last.safetensors", "")[0] for root in (one, two)]
        for name, value in weights[0].items():
            # A study that both processes have counts twice, and n / (n - 1) is another.
            twice = changes.get("train.batch_size") == 11 and name.endswith("running_var")
            rtol = 0.2 if twice else 1e-3
            torch.testing.assert_close(
                weights[1][name], value, rtol=rtol, atol=1e-5, msg=f"{case}: {name}"
            )
