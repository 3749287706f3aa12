"""Three layouts of IU X-ray give the same studies; damaged ones are named."""

import csv
import json
import os

import numpy as np
import pytest
from PIL import Image

from rcan.data.check import check
from rcan.data.sets.iu_xray import read_iu_xray
from rcan.data.sets.iu_xray_layouts import listed_studies, problems_beside
from rcan.errors import UserError

LISTED = listed_studies()[:3]
REPORTS = ["Heart is big. Lungs, clear.", "No <effusion> & more.", 'A "quoted"\nsecond line.']
XML = """<?xml version="1.0" encoding="utf-8"?>
<eCitation><uId id="CXR{number}"/><MedlineCitation><Article><Abstract>
<AbstractText Label="INDICATION">Cough.</AbstractText>
<AbstractText Label="FINDINGS">{findings}</AbstractText>
<AbstractText Label="IMPRESSION">Invented.</AbstractText>
</Abstract></Article></MedlineCitation></eCitation>"""


def save_images(path_of):
    for number, study in enumerate(LISTED):
        for view, stem in enumerate(study.stems):
            pixels = np.full((8, 10), 20 * number + 100 * view, dtype=np.uint8)
            path = path_of(study, view, stem)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)


def annotate(root, change=lambda annotation: None):
    annotation = {"train": [], "val": [], "test": []}
    for study, report in zip(LISTED, REPORTS, strict=True):
        paths = [f"{study.id}/0.png", f"{study.id}/1.png"]
        record = {"id": study.id, "report": report, "image_path": paths, "split": study.split}
        annotation[study.split].append(record)
    change(annotation)
    (root / "annotation.json").write_text(json.dumps(annotation))


def r2gen(root, ending="png"):
    save_images(lambda study, view, stem: root / "images" / study.id / f"{view}.{ending}")
    annotate(root)


def openi(root, images="NLMCXR_png", ending="png"):
    save_images(lambda study, view, stem: root / images / f"CXR{stem}.{ending}")
    (root / "ecgen-radiology").mkdir(exist_ok=True)
    for study, report in zip(LISTED, REPORTS, strict=True):
        findings = report.replace("&", "&amp;").replace("<", "&lt;")
        text = XML.format(number=study.number, findings=findings)
        (root / "ecgen-radiology" / f"{study.number}.xml").write_text(text)


def kaggle(root, images="images/images_normalized"):
    save_images(lambda study, view, stem: root / images / f"{stem}.dcm.png")
    with (root / "indiana_reports.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["uid", "MeSH", "findings", "impression"])
        for study, report in zip(LISTED, REPORTS, strict=True):
            rows.writerow([study.number, "", report, "Invented."])


LAYOUTS = [
    (r2gen, {}, "R2Gen"),
    (r2gen, {"ending": "jpg"}, "R2Gen"),
    (openi, {}, "Open-i"),
    (openi, {"images": "."}, "Open-i"),
    (openi, {"images": "ecgen-radiology", "ending": "jpg"}, "Open-i"),
    (kaggle, {}, "Kaggle"),
    (kaggle, {"images": "images"}, "Kaggle"),
]


@pytest.mark.parametrize(("write", "variant", "layout"), LAYOUTS)
def test_every_layout_gives_the_same_studies(tmp_path, write, variant, layout):
    write(tmp_path, **variant)
    data = read_iu_xray(tmp_path, LISTED)
    assert (data.layout, data.problems.counts) == (layout, {})
    assert [study.report for study in data.studies] == REPORTS
    for number, (study, listed) in enumerate(zip(data.studies, LISTED, strict=True)):
        assert (study.id, study.split) == (listed.id, listed.split)
        assert tuple(image.name for image in study.images) == listed.stems
        assert tuple(image.projection for image in study.images) == listed.projections
        means = [image.read().mean() for image in study.images]
        assert means == pytest.approx([20 * number, 20 * number + 100], abs=1)


def test_r2gens_annotation_beside_kaggles_images_is_read_as_kaggle(tmp_path):
    kaggle(tmp_path)
    annotate(tmp_path)
    assert read_iu_xray(tmp_path, LISTED).layout == "Kaggle"


def test_blanks_around_a_number_of_kaggles_table_are_no_part_of_it(tmp_path):
    kaggle(tmp_path)
    path = tmp_path / "indiana_reports.csv"
    text = path.read_text()
    for study in LISTED:
        text = text.replace(f"\n{study.number},", f"\n {study.number}\t,")
    path.write_text(f"{text}{LISTED[0].number} ,,Another.,\n")
    data = read_iu_xray(tmp_path, LISTED)
    assert [study.report for study in data.studies] == REPORTS
    assert data.problems.first == {"duplicate_id": [str(LISTED[0].number)]}


def test_a_missing_image_has_no_version_and_a_missing_report_is_a_problem(tmp_path):
    openi(tmp_path)
    (tmp_path / "NLMCXR_png" / f"CXR{LISTED[0].stems[1]}.png").unlink()
    (tmp_path / "ecgen-radiology" / f"{LISTED[2].number}.xml").unlink()
    data = read_iu_xray(tmp_path, LISTED)
    assert [image.version is None for image in data.studies[0].images] == [False, True]
    assert data.studies[2].report == ""
    assert data.problems.first == {"report_missing": [LISTED[2].id]}
    with pytest.raises(UserError, match=LISTED[0].stems[1]):
        data.studies[0].images[1].read()


@pytest.mark.parametrize("write", [r2gen, openi, kaggle])
@pytest.mark.parametrize("word", ["nan", " NaN ", "None", "null", "N/A", "<NA>"])
def test_a_word_for_nothing_is_no_report_in_any_layout(tmp_path, monkeypatch, write, word):
    monkeypatch.setattr(f"{__name__}.REPORTS", [word, *REPORTS[1:]])
    write(tmp_path)
    data = read_iu_xray(tmp_path, LISTED)
    assert [study.has_report for study in data.studies] == [False, True, True]
    found = check("iu_xray", tmp_path, with_ids=True, work=tmp_path / "work")
    lacking = {split: counts["reports_missing"] for split, counts in found["splits"].items()}
    listed = {split: counts["studies"] for split, counts in found["splits"].items()}
    assert sum(listed.values()) - sum(lacking.values()) == 2
    assert found["problems"]["no_report"]["count"] == 2953


def test_a_word_for_nothing_is_no_problem_of_kaggles(tmp_path):
    (tmp_path / "indiana_reports.csv").write_text("uid,Problems\n1,nan\n 2 ,Hernia;nan\n3,normal\n")
    assert problems_beside(tmp_path) == {"1": None, "2": ("hernia",), "3": ("normal",)}


def test_a_changed_image_has_another_version(tmp_path):
    r2gen(tmp_path)
    before = read_iu_xray(tmp_path, LISTED).studies[0].images[0]
    os.utime(tmp_path / "images" / LISTED[0].id / "0.png", ns=(1, 1))
    after = read_iu_xray(tmp_path, LISTED).studies[0].images[0]
    assert before == after and before.version != after.version


def test_the_listed_split_wins_and_strange_records_are_reported(tmp_path):
    def change(annotation):
        moved = annotation["train"].pop(0)
        annotation["test"].append(moved)
        annotation["val"].append({"id": "CXR1_x", "report": "Clear.", "image_path": []})
        annotation["test"].append(moved)

    r2gen(tmp_path)
    annotate(tmp_path, change)
    data = read_iu_xray(tmp_path, LISTED)
    assert [study.split for study in data.studies] == [study.split for study in LISTED]
    assert data.problems.first == {
        "study_not_listed": ["CXR1_x"],
        "split_differs": [LISTED[0].id],
        "duplicate_id": [LISTED[0].id],
    }


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("report", None, "expected text under 'report'"),
        ("id", 3, "expected text under 'id'"),
        ("image_path", "0.png", "expected file names under 'image_path'"),
        ("image_path", ["../../secret.png"], "expected image paths inside"),
        ("image_path", ["a\\..\\..\\secret.png"], "expected image paths inside"),
        ("image_path", ["/etc/secret.png"], "expected image paths inside"),
    ],
)
def test_a_damaged_record_is_named_without_its_report(tmp_path, key, value, message):
    r2gen(tmp_path)
    annotate(tmp_path, lambda annotation: annotation["train"][1].update({key: value}))
    with pytest.raises(UserError, match=rf"annotation\.json, train record 1: {message}") as error:
        read_iu_xray(tmp_path, LISTED)
    assert "effusion" not in str(error.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"train": [], "val": 3}'])
def test_a_damaged_annotation_is_named(tmp_path, content):
    r2gen(tmp_path)
    (tmp_path / "annotation.json").write_text(content)
    with pytest.raises(UserError, match=r"annotation\.json: expected"):
        read_iu_xray(tmp_path, LISTED)


BOMB = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]><eCitation>&y;</eCitation>'
OUTSIDE = '<!DOCTYPE a SYSTEM "file:///etc/passwd"><eCitation/>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "content", [BOMB, OUTSIDE, "<eCitation>", "", XML.format(number=0, findings="")]
)
def test_damaged_or_dangerous_xml_is_named(tmp_path, content, encoding):
    openi(tmp_path)
    path = tmp_path / "ecgen-radiology" / f"{LISTED[1].number}.xml"
    path.write_text(content.replace('encoding="utf-8"', ""), encoding=encoding)
    with pytest.raises(UserError, match=rf"{LISTED[1].number}\.xml: expected"):
        read_iu_xray(tmp_path, LISTED)


def test_a_table_without_its_columns_is_named(tmp_path):
    kaggle(tmp_path)
    (tmp_path / "indiana_reports.csv").write_text("uid,impression\n1,Clear.\n")
    with pytest.raises(UserError, match=r"indiana_reports\.csv.*found no findings"):
        read_iu_xray(tmp_path, LISTED)


def test_a_folder_without_a_layout_says_what_was_looked_for(tmp_path):
    for root, came in ((tmp_path, "found none of them"), (tmp_path / "no", "no such folder")):
        with pytest.raises(UserError) as error:
            read_iu_xray(root)
        for part in (str(root), came, "R2Gen", "Open-i", "Kaggle", "https://openi.nlm.nih.gov"):
            assert part in str(error.value)
    annotate(tmp_path)
    with pytest.raises(UserError, match="the reports of R2Gen but none of the images"):
        read_iu_xray(tmp_path, LISTED)


def test_the_list_is_r2gens_split_without_a_word_of_report():
    listed = listed_studies()
    splits = [study.split for study in listed]
    assert [splits.count(split) for split in ("train", "val", "test")] == [2069, 296, 590]
    assert len({study.id for study in listed}) == len({study.number for study in listed}) == 2955


def test_the_real_folder_is_read_whole(shared):
    root = shared / "data" / "iu_xray"
    data = read_iu_xray(root)
    assert (data.layout, data.problems.counts, len(data.studies)) == ("R2Gen", {}, 2955)
    images = [image for study in data.studies for image in study.images]
    assert (len(images), sum(image.version is not None for image in images)) == (5910, 5908)
    for image in images[::1000]:
        assert image.read().shape == (256, 256)


def test_real_xml_and_table_give_the_findings_of_the_annotation(shared, tmp_path):
    root = shared / "data" / "iu_xray"
    reports = {study.id: study.report for study in read_iu_xray(root).studies}
    for layout, source, least in (
        ("ecgen-radiology", root / "openi_sample" / "ecgen-radiology", 200),
        ("indiana_reports.csv", root / "indiana_reports.csv", 2955),
    ):
        folder = tmp_path / layout
        folder.mkdir()
        (folder / layout).symlink_to(source)
        numbers = {path.stem for path in source.glob("*.xml")}
        listed = [s for s in listed_studies() if s.number in numbers or source.is_file()]
        one_image = (
            f"CXR{listed[0].stems[0]}.png" if numbers else f"images/{listed[0].stems[0]}.png"
        )
        (folder / one_image).parent.mkdir(exist_ok=True)
        Image.new("L", (8, 8)).save(folder / one_image)
        found = read_iu_xray(folder, listed).studies
        assert len(found) >= least
        assert all(study.report == reports[study.id] for study in found)
