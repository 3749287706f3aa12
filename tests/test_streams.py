"""What commands and stages print reaches its reader, or nobody, without a traceback."""

import json
import os
import subprocess
import sys

import pytest
from imports import TOP

from rcan.cli.options import print_json

COMMAND = (sys.executable, "-m", "rcan")
STAGE = (
    sys.executable, "-c", "from pipeline.stage import run; run(lambda _: print('λ ' + 'x' * 9))",
)  # fmt: skip
SOURCES = {"command": (*COMMAND, "params", "wcl", "train"), "stage": STAGE}
ASCII = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}


def ended(
    arguments: tuple[str, ...], shell: str = "", **environment: str
) -> subprocess.CompletedProcess:
    """A process whose streams are as `shell` redirects them, in bash with pipefail."""
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$@" {shell}', "bash", *arguments],
        cwd=TOP, env=os.environ | {"PYTHONUNBUFFERED": ""} | environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


def test_the_module_is_the_command_and_says_so():
    told = ended((*COMMAND, "--help"))
    assert told.returncode == 0 and told.stderr == ""
    assert told.stdout.startswith("Usage: python -m rcan [OPTIONS] COMMAND [ARGS]...")
    assert ended((*COMMAND, "params", "wcl.taw")).returncode == 1


def test_help_loads_nothing_heavy():
    told = ended((sys.executable, "-X", "importtime", "-m", "rcan", "--help"))
    loaded = {line.rpartition("|")[2].strip() for line in told.stderr.splitlines()}
    assert "typer" in loaded and not {"torch", "numpy", "pydantic", "rich"} & loaded


@pytest.mark.parametrize("source", SOURCES)
def test_a_character_that_the_terminal_lacks_is_a_question_mark(source):
    told = ended(SOURCES[source], **ASCII)
    assert told.returncode == 0 and told.stderr == ""
    assert "?" in told.stdout and told.stdout.isascii()


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_a_closed_stream_is_nowhere(source, closed):
    told = ended(SOURCES[source], closed)
    assert (told.returncode, told.stderr) == (0, "")
    assert (told.stdout == "") == (">&- " in f"{closed} " and not closed.startswith("2"))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_no_file_takes_the_number_of_a_closed_stream(number, tmp_path):
    code = (
        "from rcan.streams import standard_streams\n"
        "import os\n"
        "with standard_streams():\n"
        f"    file = open({str(tmp_path / 'kept')!r}, 'w')\n"
        "    assert file.fileno() > 2\n"
        f"    os.write({number}, b'lost') if {number} else os.read(0, 1)\n"
    )
    sign = "<" if number == 0 else ">"
    assert ended((sys.executable, "-c", code), f"{number}{sign}&-").returncode == 0
    assert (tmp_path / "kept").read_bytes() == b""


def test_remarks_of_a_closed_stderr_do_not_get_into_the_result(tmp_path):
    for name, text in (("a.json", '{"s": ""}'), ("b.json", '{"s": "clear ."}')):
        (tmp_path / name).write_text(text)
    files = (str(tmp_path / "a.json"), str(tmp_path / "b.json"))
    told = ended((*COMMAND, "score", *files, "--no-meteor", "--json"), "2>&-")
    assert told.returncode == 0 and json.loads(told.stdout)["num_studies"] == 1


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_gone_ends_it_as_it_ends_other_programs(source, unbuffered):
    told = ended(SOURCES[source], "| true", PYTHONUNBUFFERED=unbuffered)
    assert (told.returncode, told.stderr) == (141, "")


@pytest.mark.parametrize("source", SOURCES)
def test_a_full_disk_is_one_line(source):
    told = ended(SOURCES[source], "> /dev/full")
    assert told.returncode == 1
    [line] = told.stderr.splitlines()
    assert line.startswith("error: ") and "No space left on device" in line


def test_a_broken_pipe_of_its_own_is_no_reader_that_has_gone():
    code = "from pipeline.stage import run\ndef f(_): raise BrokenPipeError(32, 'Broken pipe')\n"
    told = ended((sys.executable, "-c", code + "run(f)"))
    assert told.returncode == 1 and told.stderr.startswith("error: Broken pipe")


BYTES = "scan\udce9.png"  # as Python has the byte E9 of a name that is no UTF-8


def test_a_name_that_is_no_utf_8_is_shown_escaped():
    code = f"from pipeline.stage import run; run(lambda _: print({BYTES!a}))"
    told = ended((sys.executable, "-c", code), PYTHONIOENCODING="utf-8:strict")
    assert (told.returncode, told.stdout) == (0, "scan\\udce9.png\n")


def test_json_holds_it_escaped_too_and_other_characters_as_they_are(capsys):
    print_json({BYTES: [BYTES, "müller λ \\u"]})
    output = capsys.readouterr().out
    assert json.loads(output) == {"scan\\udce9.png": ["scan\\udce9.png", "müller λ \\u"]}
    assert "müller λ" in output


def test_json_loses_no_character_where_the_terminal_lacks_it():
    code = (
        "from rcan.cli.options import print_json; from rcan.streams import standard_streams\n"
        "with standard_streams(): print_json(['λ é \\udce9'])"
    )
    told = ended((sys.executable, "-c", code), **ASCII)
    assert json.loads(told.stdout) == ["λ é \\udce9"] and told.stdout.isascii()
