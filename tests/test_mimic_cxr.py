"""MIMIC-CXR, made up: which text is the report, which image is read, and who is left out."""

import gzip
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import yaml
from mimic_tree import make_studies, write_images, write_r2gen, write_reports, write_tree
from PIL import Image
from tiny import TOP

from pipeline import preprocess as stage
from pipeline.stage import run
from rcan.data.preprocess import described, preprocess
from rcan.data.raw import MOST_LISTED, Problems, RawDataSet
from rcan.data.sets.mimic_cxr import RULES, read_mimic_cxr
from rcan.data.sets.mimic_cxr.physionet_tables import Listing
from rcan.data.sets.mimic_cxr.report_sections import findings_of, kind_of, sections
from rcan.data.store import open_split
from rcan.data.temporary_database import temporary_database
from rcan.errors import NamesNobodyError, UserError

STUDIES = 120


def read(root, **options) -> RawDataSet:
    """What a folder holds, out of the database."""
    with temporary_database(root.parent) as database:
        data = read_mimic_cxr(root, database, **options)
        return replace(data, studies=list(data.studies))


def split_of(made) -> str:
    return {"validate": "val"}.get(made.split, made.split)


@pytest.fixture(scope="module")
def made() -> list:
    return make_studies(STUDIES)


@pytest.fixture
def tree(tmp_path, made):
    return write_tree(tmp_path / "raw", made)


def packed(root, tmp_path, **changes) -> dict:
    options = {
        "name": "mimic_cxr", "root": root, "image_size": 16, "fit": "squash", "seed": 1,
        "num_train": 1, "num_val": 1, "num_test": 1, "out": tmp_path / "out",
        "work": tmp_path / "work",
    }  # fmt: skip
    return preprocess(**(options | changes))


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("FINDINGS", "findings"), ("FINDING", "findings"), ("FINDNGS", "findings"),
        ("FINDIGNS", "findings"), ("FINDINGS AND IMPRESSION", "both"),
        ("FINDINGS/IMPRESSION", "both"), ("FINDINGS & IMPRESSION", "both"),
        ("IMPRESSION", "impression"), ("IMPRESSON", "impression"), ("CONCLUSION", "impression"),
        ("CHEST, PA AND LATERAL", "views"), ("PORTABLE CHEST", "views"), ("AP", "other"),
        ("CHEST CT", "other"), ("COMPARISON", "other"), ("INDICATION", "other"),
    ],
)  # fmt: skip
def test_a_heading_is_known_by_its_words_in_odd_spellings_too(heading, kind):
    assert kind_of(heading) == kind


def test_every_shape_of_report_gives_its_findings_alone(made):
    for one in made:
        found = findings_of(one.text.decode())
        assert (found.text, found.is_cut) == (one.expected or "", False), one.text


@pytest.mark.parametrize(
    ("report", "findings"),
    [
        ("FINDINGS: First.\nIMPRESSION: x\nFINDINGS: Second.\n", "Second."),
        ("FINDINGS: First.\nFINDINGS:\nIMPRESSION: x\n", "First."),
        ("FINDINGS:\n LUNGS: A.\n HEART: B.\n IMPRESSION: x", "LUNGS: A. HEART: B."),
        ("FINDINGS: Seen at 10:30.\n Nodule: none.\n", "Seen at 10:30. Nodule: none."),
        ("FINDINGS: A.\n WET READ VERSION #1\n B.\n", "A."),
        ("CHEST, TWO VIEWS: Other.\n FINDINGS AND IMPRESSION: This.\n", "This."),
        ("The findings: not a heading here.\n", ""),
        ("IMPRESSION AND FINDINGS: Both.\n", "Both."),
        ("FINDINGS:\n CARDIOMEDIASTINAL SILHOUETTE: A.\n SUPPORT DEVICES: B.\n RIBS: C.\n",
         "CARDIOMEDIASTINAL SILHOUETTE: A. SUPPORT DEVICES: B. RIBS: C."),
        ("FINDINGS:\n LUNG FINDINGS: A.\n BONE FINDINGS: B.\n",
         "LUNG FINDINGS: A. BONE FINDINGS: B."),
        ("FINDINGS:\n PORTABLE CHEST: A.\n IMPRESSION: x", "A."),
        ("FINDINGS: It ends in the\n LINGULA: pull back.\n PROCEDURE: x",
         "It ends in the LINGULA: pull back."),
        ("FINDINGS: N/A\nIMPRESSION: x", ""), ("FINDINGS: A.\nFINDINGS: nan\n", "A."),
        ("", ""), ("FINDINGS:", ""),
    ],
)  # fmt: skip
def test_where_findings_begin_and_end(report, findings):
    assert findings_of(report).text == findings


@pytest.mark.parametrize("between", ["", "IMPRESSION: Fine.\n"])
@pytest.mark.parametrize(
    ("heading", "is_left_out"),
    [
        ("ADDITIONAL FINDINGS", True), ("OTHER FINDINGS", True), ("LINGUAL THING", True),
        ("SIGNIFICANT FINDINGS", True), ("UNEXPECTED FINDINGS", True), ("IMPORTANT FINDING", True),
        ("SIGNIFICANT FINDINGS DISCUSSED WITH", False), ("FINDINGS AND IMPRESSION", True),
        ("CRITICAL FINDINGS", False), ("FINDINGS DISCUSSED WITH", False), ("COMPARISON", False),
        ("FINDINGS WERE COMMUNICATED BY", False), ("CLINICAL HISTORY", False),
    ],
)  # fmt: skip
def test_a_later_heading_does_not_replace_the_findings(heading, is_left_out, between):
    found = findings_of(f"FINDINGS: Heart.\n{between}{heading}: Dr. ___ by phone\n")
    assert (found.text, found.is_cut) == ("Heart.", is_left_out and not between)


@pytest.mark.parametrize(
    ("report", "findings", "is_cut"),
    [
        ("FINDINGS: Heart.\nIMPRESSION: ok\nFINDINGS: By phone\n", "By phone", True),
        ("FINDINGS: Heart.\nFINDINGS: Lungs.\n", "Lungs.", True),
        ("FINDINGS: Heart.\nIMPRESSION: ok\nFINDINGS:\n", "Heart.", False),
        ("FINDINGS: Heart.\nIMPRESSION: ok\nFINDINGS: N/A\n", "Heart.", False),
        ("FINDINGS: Heart.\nIMPRESSION: ok\nFINDINGS:  Heart.\n", "Heart.", False),
        ("FINDINGS/IMPRESSION: Heart.\nFINDINGS/IMPRESSION: Lungs.\n", "Lungs.", True),
    ],
)
def test_of_two_findings_the_last_is_taken_and_the_first_is_told_as_left_out(
    report, findings, is_cut
):
    found = findings_of(report)
    assert (found.text, found.is_cut) == (findings, is_cut)


OF_A_KIND = ["PERTINENT FINDINGS", "NEW FINDINGS", "CT FINDINGS", "FINDINGS OF CONGESTIVE FAILURE"]


@pytest.mark.parametrize("heading", OF_A_KIND)
@pytest.mark.parametrize(
    ("report", "findings"),
    [
        ("FINDINGS: Heart.\n{}: Edema.\n", "Heart."),
        ("FINDINGS: Heart.\nIMPRESSION: Fine.\n{}: Edema.\n", "Heart."),
        ("{}: Edema.\nFINDINGS: Heart.\n", "Heart."),
        ("{}: Edema.\nIMPRESSION: Fine.\nMRI FINDINGS: Heart.\n", "Heart."),
    ],
)
def test_findings_of_a_kind_that_are_left_out_are_told(heading, report, findings):
    found = findings_of(report.format(heading))
    assert (found.text, found.is_cut) == (findings, True)
    assert not findings_of(report.replace("Edema.", "").format(heading)).is_cut
    assert findings_of(f"{heading}: Edema.\nIMPRESSION: Fine.\n")[::2] == ("Edema.", False)


@pytest.mark.parametrize(
    "heading", ["CRITICAL FINDINGS", "FINDINGS DISCUSSED WITH", "CLINICAL FINDINGS"]
)
def test_who_heard_of_findings_is_no_report(heading):
    assert findings_of(f"IMPRESSION: Fine.\n{heading}: Dr. ___\n").text == ""


def test_a_word_for_nothing_is_no_report_and_what_is_cut_off_is_counted(tmp_path, made):
    few = [one for one in make_studies(STUDIES) if one.expected]
    few[0].text = b"FINDINGS: NaN\nIMPRESSION: Fine.\n"
    few[1].text = b"FINDINGS: Heart.\nOTHER FINDINGS: Rib.\nIMPRESSION: Fine.\n"
    data = read(write_tree(tmp_path / "raw", few))
    assert data.problems.first["no_findings"] == [few[0].id]
    assert data.problems.first["findings_cut"] == [few[1].id]
    assert {s.id: s.report for s in data.studies}[few[1].id] == "Heart."
    assert any(rule.startswith("findings_cut") for rule in RULES)


@pytest.mark.parametrize("word", ["nan", "None", "NULL", "N/A", "<NA>"])
def test_a_word_for_nothing_in_r2gens_records_is_no_report(tmp_path, word):
    made = make_studies(STUDIES)
    root = write_r2gen(tmp_path / "raw", made)
    annotation = json.loads((root / "annotation.json").read_text())
    annotation["train"][0]["report"] = word
    (root / "annotation.json").write_text(json.dumps(annotation))
    summary = packed(root, tmp_path)
    assert summary["problems"]["no_report"] == {"count": 1, "ids": [annotation["train"][0]["id"]]}


def test_a_section_keeps_its_order_and_kind():
    report = " INDICATION:  Cough.\n FINDINGS:\n  Two\n  lines.\n IMPRESSION: Fine."
    assert sections(report) == [
        ("other", "Cough."), ("findings", "Two lines."), ("impression", "Fine."),
    ]  # fmt: skip


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("reports", ["mimic-cxr-reports/files", "mimic-cxr-reports", "files"])
def test_each_place_of_reports_and_tables_gives_the_same_studies(tmp_path, made, packed, reports):
    write_tree(tmp_path, made, packed=packed, reports=reports)
    data = read(tmp_path)
    assert data.layout == "PhysioNet"
    wanted = [one for one in made if one.expected is not None]
    assert [(s.id, s.split, s.report, s.patient) for s in data.studies] == [
        (one.id, split_of(one), one.expected, one.patient) for one in wanted
    ]
    assert all(len(study.images) == 1 and study.images[0].version for study in data.studies)
    without = [one.id for one in made if one.expected is None]
    assert data.problems.counts["no_findings"] == len(without)
    assert data.problems.first["no_findings"] == without[:MOST_LISTED]
    assert data.problems.counts.keys() <= {
        "no_findings", "no_frontal", "findings_with_impression", "findings_under_views",
    }  # fmt: skip


def test_a_word_for_nothing_is_no_label(tree, made):
    path = tree / "mimic-cxr-2.0.0-chexpert.csv.gz"
    plain = {study.id: study.labels for study in read(tree).studies}
    rows = gzip.decompress(path.read_bytes()).decode().replace(",,", ",nan,").replace(",,", ",nan,")
    path.write_bytes(gzip.compress(rows.encode()))
    assert {study.id: study.labels for study in read(tree).studies} == plain


def test_empty_rows_of_a_table_are_passed_over(tree, tmp_path, made):
    plain = read(tree)
    write_tree(tmp_path / "again", made, packed=False)
    for path in (tmp_path / "again").glob("*.csv"):
        commas = "," * path.read_text().splitlines()[0].count(",")
        path.write_text(f"\n{path.read_text()}{commas}\n\n{commas}\n")
    assert read(tmp_path / "again").studies == plain.studies


def test_blanks_that_spreadsheets_add_to_a_table_are_passed_over(tree, tmp_path, made):
    plain = read(tree)
    write_tree(tmp_path / "again", made, packed=False)
    for path in (tmp_path / "again").glob("*.csv"):
        header, *rows = path.read_text().splitlines()
        path.write_text("\n".join([header, " , ", *(f"{row},, " for row in rows), " ,\t", ""]))
    assert read(tmp_path / "again").studies == plain.studies


def test_a_frontal_image_goes_before_an_unknown_before_a_lateral_one(tree, made):
    first = {study.id: study.images[0] for study in read(tree).studies}
    ranks = {"PA": 0, "AP": 0, "": 1, "LATERAL": 2, "LL": 2}
    for one in made:
        if one.expected is not None:
            name, view = min(one.images, key=lambda image: ranks[image[1]])
            assert first[one.id].name == name
            assert first[one.id].projection == ("frontal", None, "lateral")[ranks[view]]


def test_of_two_frontal_images_the_first_of_the_metadata_is_read(tmp_path, made):
    made = [made[0]]
    made[0].images, before = [("b", "AP"), ("c", "PA"), ("a", "AP")], made[0].images
    write_tree(tmp_path, made)
    rows = gzip.decompress((tmp_path / "mimic-cxr-2.0.0-metadata.csv.gz").read_bytes()).decode()
    header, *rest = rows.splitlines()
    (tmp_path / "mimic-cxr-2.0.0-metadata.csv").write_text("\n".join([header, *reversed(rest)]))
    with temporary_database(tmp_path) as database:
        [study] = Listing(tmp_path, database, Problems()).studies(Problems())
    made[0].images = before
    assert [name for name, _ in study.images] == ["a", "c", "b"]


def test_where_the_first_image_has_no_file_the_next_is_read(tree, tmp_path, made):
    one = next(m for m in made if m.expected and len(m.images) == 2)
    lost = next(name for name, view in one.images if view in ("PA", "AP"))
    (tree / "files" / one.place / f"{lost}.jpg").unlink()
    summary = packed(tree, tmp_path)
    assert summary["problems"]["image_missing"] == {"count": 1, "ids": [f"{one.id}: {lost}"]}
    views = {s.id: s.views for s in open_split(tmp_path / "out", split_of(one)).studies}
    assert [view.projection for view in views[one.id]] == ["lateral"]


def test_the_irregular_ones_are_counted_and_left_out_by_the_stated_rules(tmp_path):
    made = make_studies(STUDIES)
    usable = [one for one in made if one.expected is not None]
    usable[3].text = None
    usable[4].text = usable[4].text.replace(b".", b" \xb0.", 1)
    write_tree(tmp_path / "raw", made)
    files = tmp_path / "raw/files"
    (files / usable[5].place / f"{usable[5].images[0][0]}.jpg").write_bytes(b"\xff\xd8cut")
    for name, _ in usable[6].images:
        (files / usable[6].place / f"{name}.jpg").unlink()
    stray = make_studies(STUDIES + 1)[-1]
    write_reports(tmp_path / "raw/mimic-cxr-reports/files", [stray])
    write_images(files, [])
    split = tmp_path / "raw/mimic-cxr-2.0.0-split.csv.gz"
    rows = gzip.decompress(split.read_bytes()).decode().splitlines()
    moved = rows[1].replace(rows[1].split(",")[0], "another").replace("train", "test")
    split.write_bytes(gzip.compress("\r\n".join([*rows, rows[2], moved, ""]).encode()))
    summary = packed(tmp_path / "raw", tmp_path)
    counts = {kind: problem["count"] for kind, problem in summary["problems"].items()}
    assert counts == counts | {
        "report_missing": 1, "no_report": 1, "report_not_utf8": 1, "report_not_listed": 1,
        "duplicate_row": 1, "split_differs": 1, "image_unreadable": 1, "no_image": 2,
        "no_findings": STUDIES // 3,
    }  # fmt: skip
    assert summary["rules"] == list(RULES)
    rules = " ".join(summary["rules"])
    assert all(kind in rules for kind in counts)
    assert sum(split["studies"] for split in summary["splits"].values()) == len(usable) - 3
    text = {s.id: s.report for s in open_split(tmp_path / "out", split_of(usable[4])).studies}
    assert "°" in text[usable[4].id]


def test_packing_again_gives_the_same_bytes_and_one_image_a_study(tree, tmp_path):
    first = packed(tree, tmp_path)
    assert packed(tree, tmp_path, out=tmp_path / "again") == first
    for counts in first["splits"].values():
        assert counts["images"] == counts["studies"] and counts["mean_tokens"] > 5


def test_labels_are_those_that_are_not_absent(tree, made):
    labels = {study.id: study.labels for study in read(tree).studies}
    assert labels[made[0].id] == ("atelectasis", "edema/uncertain")
    assert labels[made[1].id] == ("edema",)
    (tree / "mimic-cxr-2.0.0-chexpert.csv.gz").unlink()
    assert {study.labels for study in read(tree).studies} == {None}


def test_without_texts_no_report_is_opened(tree, made):
    for path in tree.glob("mimic-cxr-reports/files/*/*/*.txt"):
        path.unlink()
        path.symlink_to("/nonexistent")
    data = read(tree, texts=False)
    assert len(data.studies) == STUDIES and "report_missing" not in data.problems.counts


def test_r2gens_records_are_read_as_they_stand_one_an_image(tmp_path, made):
    data = read(write_r2gen(tmp_path, made))
    wanted = [(name, one) for one in made if one.expected is not None for name, _ in one.images]
    assert data.layout == "R2Gen"
    assert {s.id: (s.report, s.split, s.patient) for s in data.studies} == {
        name: (one.expected, split_of(one), one.patient) for name, one in wanted
    }
    studies = len({one.id for _, one in wanted})
    assert data.problems.counts["report_of_another_image"] == len(wanted) - studies
    assert all(study.images[0].version for study in data.studies)


@pytest.mark.parametrize(
    "change",
    [
        {"report": None}, {"id": 3}, {"image_path": []}, {"image_path": ["../x.jpg"]},
        {"image_path": ["/x.jpg"]}, {"image_path": "x.jpg"}, {"study_id": None},
    ],
)  # fmt: skip
def test_a_damaged_record_is_named_by_its_place_alone(tmp_path, made, change):
    write_r2gen(tmp_path, made[:3])
    path = tmp_path / "annotation.json"
    annotation = json.loads(path.read_text())
    annotation["train"][1].update(change)
    path.write_text(json.dumps(annotation))
    with pytest.raises(NamesNobodyError, match=r"annotation\.json, train record 1: expected"):
        read(tmp_path)


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def damaged(change):
    def spoil(path):
        text = gzip.decompress(path.read_bytes()).decode()
        path.write_bytes(gzip.compress(change(text).encode()))

    return spoil


@pytest.mark.parametrize(
    ("kind", "spoil", "message"),
    [
        ("split", cut, "expected a table"),
        ("metadata", lambda path: path.write_bytes(b"no gzip"), "expected a table"),
        ("metadata", lambda path: path.unlink(), "found no such file; fetch it from https"),
        ("split", damaged(lambda t: t.replace("validate", "dev")), "one of the splits train"),
        ("split", damaged(lambda t: t.replace("study_id", "study")), "found no study_id"),
        ("split", damaged(lambda t: t[: t.index("\n") + 1]), "expected rows, found none"),
        ("split", damaged(lambda t: t.replace(",50000000", ",../../x", 1)), "row 2: expected a"),
        ("split", damaged(lambda t: t + 'a,"b\n'), "expected a table"),
        ("split", damaged(lambda t: t + "a,b\n"), "expected 4 cells, found 2"),
        ("split", damaged(lambda t: t.replace("validate", "validate, ,x", 1)), "found 6"),
        ("split", damaged(lambda t: t.replace("\n", "\n , \n\na,b\n", 1)), "row 4: expected 4"),
        ("split", damaged(lambda t: t + "a" * 200_000), "100000 characters"),
        ("chexpert", damaged(lambda t: t.replace("-1.0", "2.0")), "nothing as a label"),
    ],
)  # fmt: skip
def test_a_damaged_table_is_one_line_that_names_nobody(tree, made, kind, spoil, message):
    spoil(tree / f"mimic-cxr-2.0.0-{kind}.csv.gz")
    with pytest.raises(NamesNobodyError, match=message) as error:
        read(tree)
    assert f"-{kind}.csv.gz" in str(error.value)
    assert not re.search(r"\b[ps]?[0-9]{8}\b", str(error.value))


def test_a_folder_without_the_data_says_what_was_expected_and_where_to_get_it(tmp_path, made):
    with pytest.raises(NamesNobodyError, match=r"PhysioNet\); found neither.*credentialed"):
        read(tmp_path)
    with pytest.raises(NamesNobodyError, match="found no such folder"):
        read(tmp_path / "none")
    write_tree(tmp_path, made[:6])
    for path in tmp_path.glob("files/*/*/*/*.jpg"):
        path.unlink()
    with pytest.raises(NamesNobodyError, match="the list of PhysioNet but no report with an image"):
        read(tmp_path)


def test_a_folder_without_most_images_or_reports_is_refused(tree, tmp_path):
    for path in list(tree.glob("mimic-cxr-reports/files/*/*/*.txt"))[::3]:
        path.unlink()
    with pytest.raises(UserError, match=r"reports, .* are missing or empty"):
        packed(tree, tmp_path)


def ids_of(made) -> list[str]:
    return [text for one in made for text in (one.id, one.patient, one.images[0][0])]


def settled(monkeypatch, tmp_path, root) -> None:
    """An empty project with settings for MIMIC-CXR's folder at `root`."""
    settings = yaml.safe_load((TOP / "params.yaml").read_text(encoding="utf-8"))
    settings["data"] |= {"name": "mimic_cxr", "root": str(root), "image_size": 16}
    settings["visual"] |= {"crop": 16, "feature_window": None, "feature_pool": 1}
    settings["visual"] |= {"token_grid": None}
    (tmp_path / "project").mkdir()
    (tmp_path / "project/params.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / "project/dvc.yaml").touch()
    monkeypatch.chdir(tmp_path / "project")


def test_the_stage_tells_counts_and_no_id(tree, tmp_path, made, monkeypatch, capsys):
    settled(monkeypatch, tmp_path, tree)
    run(stage.main)
    out = "".join(capsys.readouterr())
    assert "mimic_cxr test:" in out and "mimic_cxr no_findings: 40" in out
    assert not [text for text in ids_of(made) if text in out]
    assert not [s for s in made if s.expected and s.expected[:30] in out]
    summary = json.loads((tmp_path / "project/data/processed/summary.json").read_text())
    assert summary["splits"]["test"].keys() == {"studies", "images", "mean_tokens"}
    assert "first" not in described(summary, with_ids=False)


def lose_images(tree, made):
    for path in list(tree.glob("files/*/*/*/*.jpg"))[::2]:
        path.unlink()


def lock_report(tree, made):
    path = tree / "mimic-cxr-reports/files" / f"{made[0].place}.txt"
    path.unlink()
    path.mkdir()


def spoil_image(tree, made):
    for path in tree.glob("files/*/*/*/*.jpg"):
        path.write_bytes(b"no image")


def test_trouble_of_the_disk_is_told_for_it_names_nobody(tree, tmp_path, monkeypatch):
    settled(monkeypatch, tmp_path, tree)
    (tmp_path / "project/data").mkdir()
    (tmp_path / "project/data/work").touch()
    with pytest.raises(SystemExit, match=r"^error: \S+data/work\S*: expected to keep there"):
        run(stage.main)
    assert not (tmp_path / "project/data/error.txt").exists()


@pytest.mark.parametrize("spoil", [lose_images, lock_report, spoil_image])
def test_what_ends_the_stage_is_told_in_data_error_txt_alone(
    tree, tmp_path, made, spoil, monkeypatch, capsys
):
    settled(monkeypatch, tmp_path, tree)
    spoil(tree, made)
    with pytest.raises(SystemExit) as ended:
        run(stage.main)
    told = str(ended.value.code) + "".join(capsys.readouterr())
    assert "data/error.txt" in told
    assert not [text for text in ids_of(made) if text in told]
    details = (tmp_path / "project/data/error.txt").read_text()
    assert [text for text in ids_of(made) if text in details]


def test_a_picture_in_png_is_found_as_well(tree, made):
    one = made[0]
    place = tree / "files" / one.place
    name = read(tree).studies[0].images[0].name
    with Image.open(place / f"{name}.jpg") as image:
        pixels = np.asarray(image)
    Image.fromarray(pixels).save(place / f"{name}.png")
    (place / f"{name}.jpg").unlink()
    image = read(tree).studies[0].images[0]
    assert image.name == name and (image.read() == pixels).all()
