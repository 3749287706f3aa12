"""`rcan export` and `rcan generate`, as they are called."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from dicom_files import write as write_dicom
from handed_on import make_project, pipeline_reports, places_of_test
from PIL import Image
from tiny import tiny

from rcan.attention.patches import places_of
from rcan.cli import main
from rcan.data.images import read_grey
from rcan.errors import UserError
from rcan.sharing.word_maps import numbers_of_words


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    make_project(root)
    return root


@pytest.fixture
def rcan(project, monkeypatch, command):
    """Runs the command in the project: its exit code or what it ends with, and its output."""
    monkeypatch.chdir(project)
    monkeypatch.setenv("TQDM_DISABLE", "")  # given back afterwards, whatever --quiet sets
    return command


def noise(path, mode="L", side=(80, 70)):
    pixels = np.random.default_rng(5).integers(0, 256, (*side, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def test_each_study_is_a_line_with_the_pipelines_report(rcan, project):
    places = places_of_test(project / "images")
    code, output = rcan("generate", *places)
    wanted = zip(places, pipeline_reports(project), strict=True)
    assert code == 0 and output.splitlines() == [f"{place}: {text}" for place, text in wanted]


def test_json_tells_the_views_the_report_its_score_and_its_tokens(rcan, project):
    places = places_of_test(project / "images")[-2:]
    code, output = rcan("generate", "--json", "--quiet", *places)
    told = json.loads(output)
    assert code == 0 and told["note"] == "not for clinical use" and told["beams"] == 3
    two, one = told["studies"]
    assert [image["projection"] for image in two["images"]] == ["frontal", "lateral"]
    assert [image["path"] for image in one["images"]] == [str(places[1] / "0_frontal.png")]
    assert two["log_probability"] < 0 and len(two["tokens"]) == len(two["report"].split())


def test_an_exported_model_writes_the_same_in_another_folder(rcan, project, tmp_path, monkeypatch):
    place = places_of_test(project / "images")[0]
    _, wanted = rcan("generate", place)
    assert rcan("export", tmp_path / "model")[0] == 0
    monkeypatch.chdir(tmp_path)
    assert rcan("generate", "--model", "model", place) == (0, wanted)


def test_a_dicom_file_is_read_as_the_same_pixels_in_a_png(rcan, tmp_path):
    pixels = np.asarray(Image.open(noise(tmp_path / "a.png")))
    write_dicom(tmp_path / "b.dcm", pixels, bits=8, ViewPosition="PA")
    write_dicom(tmp_path / "c.dcm", 255 - pixels, bits=8, PhotometricInterpretation="MONOCHROME1")
    code, output = rcan("generate", *(tmp_path / name for name in ("a.png", "b.dcm", "c.dcm")))
    assert code == 0 and len({line.split(": ")[1] for line in output.splitlines()}) == 1


def test_a_folder_is_a_study_and_what_else_lies_in_it_is_passed_over(rcan, project, tmp_path):
    place = places_of_test(project / "images")[0]
    shutil.copytree(place, tmp_path / "study")
    (tmp_path / "study" / "report.txt").write_text("the heart is normal .")
    (tmp_path / "study" / ".hidden.png").touch()
    (_, wanted), (_, found) = rcan("generate", place), rcan("generate", tmp_path / "study")
    assert found.split(": ")[1] == wanted.split(": ")[1]


def test_the_view_may_be_said(rcan, tmp_path):
    noise(tmp_path / "a.png")
    _, output = rcan("generate", "--json", "--view", "lateral", tmp_path / "a.png")
    assert json.loads(output)["studies"][0]["images"][0]["projection"] == "lateral"


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16", "1", "P"])
def test_other_kinds_of_png_are_read_as_grey(mode, rcan, tmp_path):
    if mode == "I;16":
        deep = np.random.default_rng(5).integers(0, 60000, (50, 40)).astype(np.uint16)
        Image.fromarray(deep).save(tmp_path / "a.png")
    else:
        noise(tmp_path / "a.png", mode)
    code, output = rcan("generate", tmp_path / "a.png")
    assert code == 0 and output.startswith(f"{tmp_path / 'a.png'}: ")


def make_text(path):
    path.write_text("no image")


def make_one_pixel(path):
    Image.new("L", (1, 1)).save(path)


def make_cut(path):
    whole = noise(path.with_suffix(".jpg")).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def make_crowd(path):
    path.mkdir()
    for number in range(3):
        noise(path / f"{number}.png")


BAD = [
    (make_text, "expected a whole PNG or JPEG image"),
    (make_one_pixel, "found an image of 1 x 1 pixels"),
    (make_cut, "expected a whole PNG or JPEG image"),
    (lambda path: path.mkdir(), "expected the images of one study"),
    (make_crowd, "2 at most for this model, found 3"),
    (lambda path: None, "found nothing"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_a_bad_image_is_one_line(make, message, rcan, tmp_path):
    make(tmp_path / "bad.png")
    code, output = rcan("generate", tmp_path / "bad.png")
    assert code.startswith(f"error: {tmp_path / 'bad.png'}: ") and message in code
    assert "\n" not in code and output == ""


def test_what_comes_before_a_bad_image_is_not_lost(rcan, tmp_path):
    make_text(tmp_path / "bad.png")
    good = noise(tmp_path / "good.png")
    code, output = rcan("generate", good, tmp_path / "bad.png", good)
    assert "bad.png" in code and output.startswith(f"{good}: ") and output.count("\n") == 1
    code, output = rcan("generate", "--json", good, tmp_path / "bad.png")
    assert "bad.png" in code and output == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nowhere"], "nowhere: expected a model's folder"),
        (["--model", "images"], "expected an exported model or a run of this project"),
        (["--view", "oblique"], "expected --view to be frontal or lateral"),
        (["--view", "frontal"] * 3, "expected --view 2 times at most"),
        (["--word", "heart"], "give --attention"),
        (["--attention", "a.gif"], "expected --attention to name a .png"),
        (["--attention", "a.png", "b.png"], "got 2: give one image or folder, or --one-study"),
        (["--attention", "a.png", "--word", "zebra"], "it has no zebra"),
    ],
)
def test_options_that_make_no_sense_are_one_line(arguments, message, rcan, tmp_path):
    code, _ = rcan("generate", noise(tmp_path / "a.png"), *arguments)
    assert code.startswith("error: ") and message in code and "\n" not in code


def test_without_its_tokenizer_a_run_is_one_line(rcan, project, tmp_path):
    shutil.copytree(project / "runs", tmp_path / "runs")
    code, _ = rcan("generate", "--model", tmp_path / "runs/main", noise(tmp_path / "a.png"))
    assert code.startswith("error: ") and "data/tokenizer.json: expected a tokenizer" in code
    (tmp_path / "data").mkdir()
    words = (project / "data/tokenizer.json").read_bytes()
    (tmp_path / "data/tokenizer.json").write_bytes(words + b"\n")
    code, _ = rcan("generate", "--model", tmp_path / "runs/main", tmp_path / "a.png")
    assert "was trained with, found another" in code


@pytest.mark.parametrize("arguments", [[], ["a", "b", "c"]])
def test_export_wants_a_folder(arguments, rcan):
    code, _ = rcan("export", *arguments)
    assert "expected a folder to write, or a run and a folder" in code


# Attention


def test_attention_is_drawn_for_the_chosen_word(rcan, project, tmp_path):
    place = places_of_test(project / "images")[0]
    _, output = rcan("generate", place)
    word = output.split(": ")[1].split()[0]
    code, _ = rcan(
        "generate", place, "--attention", tmp_path / "a.png", "--word", word.upper(), "--quiet"
    )
    assert code == 0 and (tmp_path / "a.svg").exists()
    assert len(np.unique(read_grey(tmp_path / "a.png"))) > 20


def test_a_notebooks_backend_keeps_no_figure_from_being_drawn(project, tmp_path):
    place = places_of_test(project / "images")[0]
    done = subprocess.run(
        [sys.executable, "-m", "rcan", "generate", place, "--attention", tmp_path / "a.png"],
        cwd=project, env={**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and (tmp_path / "a.png").exists(), done.stderr


def test_without_a_chosen_word_all_but_full_stops_are_drawn():
    words = ["the", "heart", "is", "normal", ".", "the", "lungs", "are", "clear", "."]
    assert numbers_of_words(words, []) == [0, 1, 2, 3, 5, 6, 7, 8]
    assert numbers_of_words(words, ["The", "clear"]) == [0, 5, 8]
    for text, chosen in (["."], []), ([], []), (words, ["nodule"]):
        with pytest.raises(UserError):
            numbers_of_words(text, chosen)


def test_a_repeated_view_is_drawn_once_with_all_that_it_was_given():
    places = places_of(tiny(), 7)
    weights = np.random.default_rng(0).random(places.num_patches)
    once, twice = (places.times_even(weights, views) for views in (1, 2))
    assert once.shape == (1, 32, 32) and twice.shape == (2, 32, 32)
    seen = ~np.isnan(once[0])
    assert np.allclose(once[0][seen], twice.mean(0)[seen])
    assert not seen.all()  # the border that a crop leaves out


@pytest.mark.usefixtures("rcan")
def test_several_files_are_told_to_be_several_studies(project, monkeypatch, capsys):
    """Not so a folder, which is one study."""
    folder = sorted((project / "images").iterdir())[0]
    remark = "2 studies of one view each; --one-study takes them as views of one"
    for places, told in ((sorted(folder.iterdir()), True), ((folder, folder), False)):
        monkeypatch.setattr(sys, "argv", ["rcan", "generate", *map(str, places)])
        with pytest.raises(SystemExit):
            main()
        assert (remark in capsys.readouterr().err) == told


def test_files_of_one_study_are_its_folders_report(rcan, project):
    folder = places_of_test(project / "images")[0]
    files = sorted(folder.iterdir())
    _, wanted = rcan("generate", "--quiet", folder)
    _, output = rcan("generate", "--quiet", "--one-study", *files)
    assert output == wanted.replace(str(folder), str(files[0]))
    code, _ = rcan("generate", "--one-study", *files, files[0])
    assert "expected with --one-study the files of one study, 2 at most" in str(code)
    code, _ = rcan("generate", "--one-study", folder)
    assert "or a folder" in str(code)


def test_an_array_is_the_image_that_it_was_read_from(rcan, project, tmp_path):
    folder = places_of_test(project / "images")[0]
    for file in folder.iterdir():
        np.save(tmp_path / f"{file.stem}.npy", read_grey(file))
    _, wanted = rcan("generate", "--quiet", folder)
    _, output = rcan("generate", "--quiet", tmp_path)
    assert output == wanted.replace(str(folder), str(tmp_path))


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((30, 30, 3), np.uint8), "found uint8 of 3 dimensions"),
        (np.zeros((30, 30)), "found float64 of 2 dimensions"),
        (np.array([[print]]), "expected an array of NumPy"),  # pickled
        (np.zeros((3, 3), np.uint8), "16 a side are the least"),
    ],
)
def test_another_array_is_one_line(rcan, tmp_path, array, told):
    np.save(tmp_path / "a.npy", array)
    code, _ = rcan("generate", tmp_path / "a.npy")
    assert told in str(code) and "a.npy" in str(code)


def test_a_run_alone_is_no_place_to_export_to(rcan, project):
    code, _ = rcan("export", "main")
    assert "main is a run: expected a folder to write it to" in str(code)
    assert not (project / "main").exists()


def test_names_that_are_no_utf_8_are_told_escaped(rcan, project, tmp_path):
    image = noise(tmp_path / "scan\udce9.png")
    code, output = rcan("generate", "--json", "--quiet", image)
    [study] = json.loads(output)["studies"]
    assert code == 0 and study["images"][0]["path"] == f"{tmp_path}/scan\\udce9.png"
    code, output = rcan("export", tmp_path / "mod\udce9")
    assert code == 0 and f"{tmp_path}/mod\\udce9;" in output
    code, _ = rcan("generate", "--model", tmp_path / "mod\udce9", image)
    assert code.endswith("whose name is UTF-8, for safetensors opens no other; rename it")
    (tmp_path / "mod\udce9").rename(tmp_path / "model")
    assert rcan("generate", "--model", tmp_path / "model", image)[0] == 0
