"""The scratch database: nobody meets it, nothing of it stays, and a full disk is told in a line."""

import signal
import subprocess
import sys

import pytest
from tiny import TOP

from rcan.data.temporary_database import DiskError, temporary_database

HOLD = """
import sys, time
from pathlib import Path
from rcan.data.temporary_database import temporary_database
with temporary_database(Path(sys.argv[1])) as database:
    database.execute("create table report (text)")
    database.executemany("insert into report values (?)", [("heart",)] * 300_000)
    print("there", flush=True)
    time.sleep(60)
"""


def test_it_has_no_name_while_it_is_in_use(tmp_path):
    with temporary_database(tmp_path / "work") as database:
        database.execute("create table report (text)")
        database.executemany("insert into report values (?)", [("heart" * 200,)] * 20_000)
        assert list((tmp_path / "work").iterdir()) == []
        assert database.execute("select count(*) from report").fetchone() == (20_000,)
    assert list((tmp_path / "work").iterdir()) == []


def test_a_killed_process_leaves_nothing_of_it(tmp_path):
    command = [sys.executable, "-c", HOLD, tmp_path / "work"]
    holder = subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "there\n"
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert list((tmp_path / "work").iterdir()) == []


def test_two_in_one_folder_are_two(tmp_path):
    with temporary_database(tmp_path) as one, temporary_database(tmp_path) as other:
        one.execute("create table report (text)")
        assert other.execute("select count(*) from sqlite_master").fetchone() == (0,)


def test_a_full_disk_is_one_error_with_what_to_do(tmp_path):
    with (
        pytest.raises(DiskError, match=r"is full.*free some space") as error,
        temporary_database(tmp_path) as database,
    ):
        database.execute("pragma max_page_count = 20")
        database.execute("create table report (text)")
        database.executemany("insert into report values (?)", [("heart" * 200,)] * 2000)
    assert "heart" not in str(error.value)


def test_a_folder_that_cannot_be_made_is_one_error_too(tmp_path):
    (tmp_path / "work").touch()
    with (
        pytest.raises(DiskError, match=r"work.*expected to keep there.*File exists"),
        temporary_database(tmp_path / "work"),
    ):
        pass


def test_what_goes_wrong_in_the_block_is_told_as_it_is(tmp_path):
    with pytest.raises(OSError, match="of the report"), temporary_database(tmp_path):
        raise OSError("of the report")
