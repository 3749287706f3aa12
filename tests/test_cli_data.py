"""`rcan data`: what is there is told before anything is packed, and nothing is overwritten."""

import json
import os
import sys

import pytest
from mimic_tree import make_studies, write_images, write_reports, write_tables, write_tree
from tiny import TOP

from rcan.cli import main
from rcan.data import check, importing
from rcan.data.sets import mimic_cxr
from rcan.errors import UserError

MADE = make_studies(60)


def ids() -> list[str]:
    names = [name for one in MADE for name, _ in one.images]
    return [text for one in MADE for text in (one.id, one.patient)] + names


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "dvc.yaml").touch()
    (folder / "params.yaml").write_text((TOP / "params.yaml").read_text(encoding="utf-8"))
    monkeypatch.chdir(folder)
    monkeypatch.delenv("RCAN_DATA", raising=False)
    return folder


@pytest.fixture
def rcan(project, monkeypatch, capsys):
    """Runs `rcan data`: what it ends with, what it prints, and what it says besides."""

    def run(*arguments) -> tuple[int | str | None, str, str]:
        monkeypatch.setattr(sys, "argv", ["rcan", "data", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "raw", MADE)


MIMIC = ("--data", "mimic_cxr")


def test_a_whole_folder_is_usable_and_the_next_step_is_named(rcan, tree):
    code, out, err = rcan("check", "--root", tree, *MIMIC)
    assert code == 0
    lines = out.splitlines()
    assert lines[:3] == ["data set  mimic_cxr", f"folder    {tree}", "layout    PhysioNet"]
    frontal = {split: sum(one.split == split for one in MADE) for split in ("train", "test")}
    row = next(line for line in lines if line.startswith("train")).split()
    counts = [str(frontal["train"]), str(frontal["train"]), "0", row[4], "0"]
    assert row == ["train", *counts, "227,758", "368,960"]  # and the paper's of Table 2
    assert "images tried: 16, unreadable: 0" in out
    assert "reports looked into: 60, with findings: 40;" in out
    assert lines[-2:] == ["usable", f"next: rcan data import {tree} --data mimic_cxr"]
    assert err == "restricted data: studies are counted, not named\n"


def test_json_is_one_document_and_quiet_says_nothing_besides(rcan, tree):
    code, out, err = rcan("check", "--root", tree, *MIMIC, "--json", "--quiet")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert found["usable"] and found["layout"] == "PhysioNet"
    assert found["splits"]["test"]["reports_missing"] == 0
    assert found["reports_looked_into"] == {"of": 60, "with_findings": 40}


def lose_an_image(tree):
    one = MADE[4]
    (tree / "files" / one.place / f"{one.images[0][0]}.jpg").unlink()


def lose_images(tree):
    for path in list(tree.glob("files/*/*/*/*.jpg"))[::2]:
        path.unlink()


def lose_reports(tree):
    for path in list(tree.glob("mimic-cxr-reports/files/*/*/*.txt"))[::2]:
        path.unlink()


def spoil_images(tree):
    for path in tree.glob("files/*/*/*/*.jpg"):
        path.write_bytes(b"cut")


def lose_metadata(tree):
    (tree / "mimic-cxr-2.0.0-metadata.csv.gz").unlink()


def spoil_reports(tree):
    for path in list(tree.glob("mimic-cxr-reports/files/*/*/*.txt"))[:5]:
        path.unlink()
        path.mkdir()


UNUSABLE = [
    (lose_images, "more than a tenth of the reports or of the images is missing"),
    (lose_reports, "more than a tenth of the reports or of the images is missing"),
    (spoil_images, "16 of 16 images tried cannot be read"),
    (lose_metadata, "fetch it from https://physionet.org"),
    (spoil_reports, "IsADirectoryError: the message may name a patient, --with-ids shows it"),
]


@pytest.mark.parametrize(("spoil", "told"), UNUSABLE, ids=lambda v: getattr(v, "__name__", ""))
def test_what_cannot_be_used_ends_with_1_says_why_and_names_nobody(rcan, tree, spoil, told):
    spoil(tree)
    code, out, err = rcan("check", "--root", tree, *MIMIC)
    assert code == 1
    assert told in out and "\nnot usable: " in out and "\nnext: mend" in out
    assert not [text for text in ids() if text in out + err]
    assert rcan("import", tree, *MIMIC)[0] == 1
    assert not os.path.lexists("data/raw/mimic_cxr")


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_ids_are_shown_only_if_asked_for(rcan, tree, arguments):
    lose_an_image(tree)
    told = "".join(map(str, rcan("check", "--root", tree, *MIMIC, *arguments)))
    assert "image_missing" in told and not [text for text in ids() if text in told]
    told = rcan("check", "--root", tree, *MIMIC, "--with-ids", *arguments)[1]
    assert f"{MADE[4].id}: {MADE[4].images[0][0]}" in told


def test_a_fault_of_our_own_tells_no_id_either(rcan, tree, monkeypatch):
    def fault(*_, **__):
        raise KeyError(MADE[0].id)

    monkeypatch.setattr(mimic_cxr, "read_mimic_cxr", fault)
    code, out, _ = rcan("check", "--root", tree, *MIMIC)
    assert code == 1 and "KeyError: the message may" in out and MADE[0].id not in out
    with pytest.raises(KeyError):
        check.check("mimic_cxr", tree, with_ids=True, work=tree)


@pytest.mark.parametrize("name", ["mimic_cxr", "iu_xray"])
def test_a_disk_that_cannot_be_written_is_not_the_datas_fault(rcan, tree, project, name):
    (project / "data").mkdir()
    (project / "data/work").touch()
    error, out, _ = rcan("check", "--root", tree, "--data", name)
    assert not out and "data/work: expected to keep there" in str(error)


def test_where_the_pipeline_looks_is_checked_without_root(rcan, tree, monkeypatch):
    code, out, _ = rcan("check", *MIMIC)
    assert code == 1 and "found no such folder" in out
    monkeypatch.setenv("RCAN_DATA", str(tree))
    code, out, _ = rcan("check", *MIMIC)
    assert code == 0 and out.endswith("next: dvc exp run -S data.name=mimic_cxr\n")


def test_the_demo_needs_no_data(rcan):
    assert rcan("check") == (
        0, "demo: its studies are drawn, it needs no data\nnext: dvc repro\n", "",
    )  # fmt: skip
    assert "nothing to import" in rcan("import", ".")[0]


def test_another_data_set_is_refused_in_one_line(rcan):
    assert (
        "expected --data to be one of iu_xray, mimic_cxr, got 'x'"
        in rcan("check", "--data", "x")[0]
    )


def test_import_links_once_and_never_overwrites(rcan, tree, project, tmp_path):
    code, out, _ = rcan("import", tree, *MIMIC)
    place = project / "data/raw/mimic_cxr"
    assert code == 0 and place.is_symlink() and place.resolve() == tree.resolve()
    assert f"linked: {place}" in out
    assert rcan("check", *MIMIC)[0] == 0
    assert rcan("import", tree, *MIMIC)[0] == 0  # it is there already
    other = write_tree(tmp_path / "other", MADE)
    assert (
        "found a link to another folder; it is not overwritten" in rcan("import", other, *MIMIC)[0]
    )
    assert place.resolve() == tree.resolve()
    place.unlink()
    place.mkdir()
    assert "found a folder; it is not overwritten" in rcan("import", tree, *MIMIC)[0]
    assert not list(place.iterdir())


def test_reports_from_elsewhere_are_put_beside_the_images(rcan, project, tmp_path):
    jpg, reports = tmp_path / "mimic-cxr-jpg", tmp_path / "mimic-cxr"
    write_tables(jpg, MADE)
    write_images(jpg / "files", MADE)
    write_reports(reports / "files", MADE)
    assert rcan("import", jpg, *MIMIC)[0] == 1
    code, out, _ = rcan("import", jpg, "--reports", reports, *MIMIC)
    assert code == 0, out
    place = project / "data/raw/mimic_cxr"
    assert {path.name for path in place.iterdir()} == {
        "files", "mimic-cxr-reports", *(path.name for path in jpg.glob("*.csv.gz")),
    }  # fmt: skip
    assert not [path for path in place.parent.iterdir() if path != place]
    assert rcan("check", *MIMIC)[0] == 0
    assert (
        "expected a folder, found none"
        in rcan("import", jpg, "--reports", tmp_path / "none", "--data", "iu_xray")[0]
    )


def contents(folder) -> dict:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_copy_holds_what_the_pipeline_reads_and_goes_on_where_it_stopped(
    rcan, tree, project, monkeypatch
):
    wanted = contents(tree)
    (tree / "files" / MADE[0].place / "image.dcm").write_bytes(b"left out")
    (tree / "files/back").symlink_to(tree / "files")
    copied, copy_file = [], importing._copy_file

    def stop(place, target):
        if len(copied) == 50:
            raise KeyboardInterrupt
        copied.append(target)
        copy_file(place, target)

    monkeypatch.setattr(importing, "_copy_file", stop)
    with pytest.raises(KeyboardInterrupt):
        importing.copy(tree, project / "data/raw/mimic_cxr", None)
    assert not (project / "data/raw/mimic_cxr").exists()
    monkeypatch.setattr(importing, "_copy_file", copy_file)
    times = [path.stat().st_ctime_ns for path in copied]
    code, out, _ = rcan("import", tree, *MIMIC, "--copy", "-q")
    place = project / "data/raw/mimic_cxr"
    assert code == 0 and f"{len(wanted)} files copied" in out
    assert contents(place) == wanted
    assert [path.name for path in place.parent.iterdir()] == ["mimic_cxr"]
    done = [place / path.relative_to(place.with_name(".mimic_cxr.copying")) for path in copied]
    assert [path.stat().st_ctime_ns for path in done] == times  # not written again


def test_a_copy_that_finds_no_room_is_one_line(tree, project, monkeypatch):
    usage = importing.shutil.disk_usage(project)._replace(free=10)
    monkeypatch.setattr(importing.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="bytes of free disk for the copy, found 10"):
        importing.copy(tree, project / "data/raw/mimic_cxr", None)


def test_iu_xray_is_checked_by_its_own_reader_and_its_ids_are_told(rcan, tmp_path):
    code, out, err = rcan("check", "--root", tmp_path, "--data", "iu_xray")
    assert code == 1 and "expected IU X-ray as annotation.json" in out and err == ""


def test_the_real_iu_xray_is_found_complete(rcan, shared):
    code, out, _ = rcan("check", "--root", shared / "data/iu_xray", "--data", "iu_xray")
    assert code == 0, out
    row = next(line for line in out.splitlines() if line.startswith("test")).split()
    assert row[:3] == ["test", "590", "590"]
