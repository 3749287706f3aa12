"""`rcan score`: anybody's reports get the numbers that our own evaluation gives."""

import csv
import json
import random
import sys

import pytest
from floors_of import floors_of
from java_programs import python_java
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.rouge.rouge import Rouge
from tiny import changed

from rcan.cli import main
from rcan.config import resolve
from rcan.data.sets import TITLES, data_set
from rcan.data.store import Study, View
from rcan.errors import UserError
from rcan.evaluation import meteor
from rcan.evaluation.bleu import BLEU
from rcan.evaluation.evaluate import evaluate
from rcan.evaluation.scores import METRICS
from rcan.evaluation.statistics import holm
from rcan.scoring.references import Cleaner
from rcan.scoring.texts import read_texts
from rcan.text.cleaning import clean_iu_xray
from rcan.text.tokenizer import Tokenizer

SENTENCES = (
    "The heart is normal in size.", "Lungs are clear.", "No pleural effusion.",
    "1. A small nodule is seen.", "The bones are intact; no fracture.", "Mild scoliosis.",
    "There is a rarely mentioned zebra.",
)  # fmt: skip


def reports(num: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.sample(SENTENCES, draw.randint(1, 4))) for _ in range(num)]


TRAIN, VAL, TEST = (reports(num, seed) for num, seed in ((60, 1), (12, 2), (20, 3)))
WRITTEN = [
    a if place % 2 else b for place, (a, b) in enumerate(zip(TEST, reports(20, 4), strict=True))
]


@pytest.fixture(scope="module")
def java(tmp_path_factory):
    return python_java(tmp_path_factory.mktemp("java"))


@pytest.fixture
def rcan(tmp_path, monkeypatch, capsys, java):
    """Runs `rcan score` in an empty folder, without real Java; gives its code and both outputs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(meteor, "_find_java", lambda _: str(java))
    monkeypatch.delenv("TQDM_DISABLE", raising=False)

    def run(*arguments: str):
        monkeypatch.setattr(
            sys, "argv", ["rcan", "score", *map(str, arguments), "--resamples", "50"]
        )
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


def table(path, texts, *, column="prediction", ids=None):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", column])
        writer.writerows(zip(ids or [f"s{i}" for i in range(len(texts))], texts, strict=True))
    return path


def annotation(path):
    splits = {"train": TRAIN, "val": VAL, "test": TEST}
    path.write_text(
        json.dumps(
            {
                split: [{"id": f"s{i}", "report": text} for i, text in enumerate(texts)]
                for split, texts in splits.items()
            }
        )
    )
    return path


def found(rcan, *arguments):
    code, output, errors = rcan(*arguments, "--json", "--quiet")
    assert code == 0, code
    assert errors == ""
    return json.loads(output)


def test_the_numbers_are_those_of_our_own_evaluation(rcan, tmp_path, java):
    got = found(rcan, table(tmp_path / "a.csv", WRITTEN), annotation(tmp_path / "annotation.json"))

    def studies(split, texts):
        return [
            Study(f"s{i}", split, text, clean_iu_xray(text), (View(i, None),))
            for i, text in enumerate(texts)
        ]

    train = [clean_iu_xray(text) for text in TRAIN]
    train = [" ".join(text.split()) for text in train]
    val, words = studies("val", VAL), Tokenizer.train(train, 3).vocabulary
    expected, *_ = evaluate(
        predictions=[" ".join(clean_iu_xray(text).split()) for text in WRITTEN],
        test=studies("test", TEST), train_texts=train, val=val, vocabulary=words, max_length=60,
        floors=floors_of(train, val, words, 60), clean=clean_iu_xray, resamples=50, seed=1,
        java=java,
    )  # fmt: skip
    for key in ("protocols", "beats_floor", "controls", "references", "diagnostics"):
        assert got[key] == expected[key], key
    for floor, told in got["floors"].items():
        assert told["texts"] == expected["floors"][floor]["texts"]
        assert told["chosen_on"] == expected["floors"][floor]["chosen_on"]


@pytest.mark.parametrize(
    ("beside", "asked", "cleaned"),
    [
        ('{"data": "mimic_cxr"}', (), "mimic_cxr"),
        ('{"data": "mimic_cxr"}', ("--data", "demo"), "demo"),
        ('{"data": "my_set"}', (), "iu_xray"),
        ("{", (), "iu_xray"),
        (None, (), "iu_xray"),
    ],
)
def test_predictions_of_an_evaluation_are_cleaned_as_their_data_set(
    rcan, tmp_path, beside, asked, cleaned
):
    if beside:
        (tmp_path / "scores.json").write_text(beside)
    files = table(tmp_path / "a.csv", WRITTEN), table(tmp_path / "b.csv", TEST, column="report")
    got = found(rcan, *files, *asked, "--protocol", "strict", "--no-meteor")
    assert got["max_length"] == data_set(cleaned).max_length
    assert cleaned.split("_")[0] in got["text"].lower()


@pytest.mark.parametrize("seed", range(3))
def test_bleu_and_rouge_l_are_pycocoevalcaps(rcan, tmp_path, seed):
    draw = random.Random(seed)
    words = ["the", "lungs", "are", "clear", ".", "heart", "is", "normal", "<unk>", "x-ray"]
    sides = [
        [" ".join(draw.choices(words, k=draw.randint(1, 30))) for _ in range(25)] for _ in range(2)
    ]
    files = [table(tmp_path / f"{k}.csv", texts, column="text") for k, texts in enumerate(sides)]
    got = found(rcan, *files, "--no-clean", "--no-meteor")["protocols"]["strict"]["model"]
    written, wanted = ({i: [text] for i, text in enumerate(texts)} for texts in sides)
    bleu, _ = Bleu(4).compute_score(wanted, written, verbose=0)
    rouge, _ = Rouge().compute_score(wanted, written)
    assert {m: v["score"] for m, v in got.items()} == pytest.approx(
        dict(zip((*BLEU, "ROUGE-L"), (*bleu, rouge), strict=True)), abs=1e-12
    )


def test_real_reports_score_what_pycocoevalcap_gave_them(shared, tmp_path, monkeypatch, capsys):
    golden = json.loads((shared / "data" / "golden_metrics.json").read_text())
    monkeypatch.chdir(tmp_path)
    files = [
        table(tmp_path / f"{side}.csv", [item[side] for item in golden["items"]], column="text")
        for side in ("hypothesis", "reference")
    ]
    arguments = [*map(str, files), "--no-clean", "--resamples", "2", "--json"]
    monkeypatch.setattr(sys, "argv", ["rcan", "score", *arguments])
    with pytest.raises(SystemExit):
        main()
    got = json.loads(capsys.readouterr().out)["protocols"]["strict"]["model"]
    for metric in (*BLEU, "METEOR"):
        known = golden["corpus"][metric.replace("BLEU-", "BLEU_")]
        assert got[metric]["score"] == pytest.approx(known, abs=1e-9), metric


def test_every_format_gives_the_same_scores(rcan, tmp_path):
    ids = [f"s{i}" for i in range(20)]
    pairs = list(zip(ids, WRITTEN, strict=True))
    (tmp_path / "map.json").write_text(json.dumps(dict(reversed(pairs))))
    (tmp_path / "list.json").write_text(json.dumps([{"id": i, "report": t} for i, t in pairs]))
    table(tmp_path / "caps.csv", WRITTEN, column="Generated-Report")
    references = table(tmp_path / "r.csv", TEST, column="findings")
    with (tmp_path / "both.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["id", "reference", "prediction"], *zip(ids, TEST, WRITTEN, strict=True)]
        )
    for name, texts in (("p", WRITTEN), ("q", TEST)):
        (tmp_path / f"{name}.txt").write_text("\n".join(texts) + "\n")
    given = [
        ("map.json", references), ("list.json", references), ("caps.csv", references),
        ("both.csv",), ("p.txt", "q.txt"), ("caps.csv", annotation(tmp_path / "annotation.json")),
    ]  # fmt: skip
    results = [found(rcan, *files, "--protocol", "strict") for files in given]
    models = [result["protocols"]["strict"]["model"] for result in results]
    assert all(model == models[0] for model in models)
    assert ["floors" in result for result in results] == [False] * 5 + [True]


def test_clean_text_is_not_changed_by_cleaning_and_unknown_words_stay():
    clean = Cleaner("iu_xray")
    once = clean("1. The heart's <unk> is LARGE. No effusion, or pneumothorax.")
    assert once == "the hearts <unk> is large . no effusion or pneumothorax ."
    assert clean(once) == once
    assert clean("  ") == ""


def test_without_train_one_line_says_so_and_how_to_get_a_floor(rcan, tmp_path):
    files = table(tmp_path / "a.csv", WRITTEN), table(tmp_path / "b.csv", TEST, column="text")
    code, output, _ = rcan(*files)
    assert code == 0 and "| strict " in output and "| paper" not in output
    [line] = [line for line in output.splitlines() if line.startswith("No floor")]
    assert "--train" in line
    assert "word for word" not in output
    assert "pycocoevalcap" in output.splitlines()[-1]


def test_a_model_that_writes_one_report_is_told_and_does_not_beat_the_floor(rcan, tmp_path):
    constant = table(tmp_path / "a.csv", [TRAIN[0]] * 20)
    code, output, _ = rcan(constant, annotation(tmp_path / "annotation.json"))
    assert code == 0 and "collapsed: 100 % of 20 studies got the same report" in output
    assert "100 % word for word from train" in output
    rows = [line.split("|") for line in output.splitlines() if line.startswith("| BLEU-4")]
    assert len(rows) == 2
    for row in rows:
        assert "yes" not in row[5] and row[6].strip() == "+0.000"


def test_without_validation_the_constant_is_chosen_on_train(rcan, tmp_path):
    files = table(tmp_path / "a.csv", WRITTEN), table(tmp_path / "b.csv", TEST, column="text")
    train = table(tmp_path / "train.csv", TRAIN, column="report")
    got = found(rcan, *files, "--train", train)
    assert got["floors"]["best_constant"]["chosen_on"] == "train"
    assert set(got["protocols"]) == {"strict", "paper"}
    val = table(tmp_path / "val.csv", VAL, column="report")
    assert found(rcan, *files, "--train", train, "--val", val)["floors"]["best_constant"][
        "chosen_on"
    ] == ("val")


def test_references_that_are_the_train_split_are_no_floor_for_themselves(rcan, tmp_path):
    predictions = table(tmp_path / "a.csv", TRAIN)
    got = found(rcan, predictions, annotation(tmp_path / "annotation.json"), "--split", "train")
    assert "floors" not in got


def test_others_are_compared_with_p_values_corrected_over_all(rcan, tmp_path):
    files = table(tmp_path / "a.csv", WRITTEN), table(tmp_path / "b.csv", TEST, column="text")
    (tmp_path / "x").mkdir()
    others = [
        table(tmp_path / "same.csv", WRITTEN),
        table(tmp_path / "worse.csv", ["Nothing."] * 20),
    ]
    got = found(rcan, *files, "--against", others[0], "--against", others[1])["against"]
    assert list(got) == ["same", "worse"]
    assert {value["difference"] for value in got["same"]["strict"].values()} == {0}
    assert got["worse"]["strict"]["BLEU-4"]["low"] > 0
    tests = [got[name]["strict"][metric] for name in got for metric in METRICS]
    assert [t["p_holm"] for t in tests] == holm([t["p"] for t in tests])
    code, output, _ = rcan(*files, "--against", others[0], "--against", others[1])
    assert code == 0 and "within noise" in output and "beyond noise" in output


def test_output_holds_what_was_printed_and_counts_only_if_all_is_there(rcan, tmp_path):
    files = table(tmp_path / "a.csv", WRITTEN), annotation(tmp_path / "annotation.json")
    code, output, errors = rcan(*files, "--output", tmp_path / "out")
    assert code == 0 and "kept in" in errors
    assert (tmp_path / "out/table.md").read_text() == output
    assert json.loads((tmp_path / "out/scores.json").read_text())["num_studies"] == 20
    assert (tmp_path / "out/counts.npz").exists()
    rcan(*files, "--output", tmp_path / "out", "--no-meteor")
    assert not (tmp_path / "out/counts.npz").exists()


def test_an_empty_prediction_scores_zero_and_is_told(rcan, tmp_path):
    files = (
        table(tmp_path / "a.csv", ["", "nan", *WRITTEN[2:]]),
        table(tmp_path / "b.csv", TEST, column="text"),
    )
    code, _, errors = rcan(*files)
    assert code == 0 and "2 of 20 predictions are empty" in errors


@pytest.mark.parametrize("name", ["res.csv", "res.txt"])
def test_nan_on_a_line_is_an_empty_report(rcan, tmp_path, name):
    written, wanted = tmp_path / name, tmp_path / name.replace("res", "gts")
    written.write_text("\n".join([WRITTEN[0], "nan", " N/A ", *WRITTEN[3:]]) + "\n")
    wanted.write_text("\n".join(TEST) + "\n")
    code, _, errors = rcan(written, wanted, "--no-meteor")
    assert code == 0 and "2 of 20 predictions are empty" in errors
    wanted.write_text("\n".join([*TEST[:-1], "nan"]) + "\n")
    assert "1 of 20 are empty" in rcan(written, wanted, "--no-meteor")[0]


def test_two_columns_of_the_same_ids_are_one(tmp_path):
    (tmp_path / "a.csv").write_text("study_id,id,report\n b,b,x\na,a,y\n")
    assert read_texts(tmp_path / "a.csv", "predictions").by_id == {"b": "x", "a": "y"}


def test_the_id_of_an_annotation_counts_beside_its_study_id(tmp_path):
    record = {"id": "d1", "study_id": 5, "subject_id": 1, "report": "x", "split": "test"}
    (tmp_path / "annotation.json").write_text(json.dumps({"test": [record]}))
    assert read_texts(tmp_path / "annotation.json", "references").by_id == {"d1": "x"}


BAD = {
    "none.csv": (None, "expected a file of predictions, found none"),
    "empty.csv": ("", "found no row"),
    "head.csv": ("id,prediction\n", "found no row"),
    "twice.csv": ("id,prediction\na,x\na,y\n", "every id once, found a twice"),
    "others.csv": ("name,words\na,x\n", "expected a column of ids .*found name, words"),
    "notext.csv": ("id,words\na,x\n", "expected a column of predictions"),
    "two.csv": ("id,report,text\na,x,y\n", "one column of predictions, found report and text"),
    "side.csv": (
        "id,prediction,Generated-Report\na,x,y\n",
        "one column of predictions, found prediction and Generated-Report",
    ),
    "alike.csv": (
        "id,Prediction,prediction\na,x,y\n",
        "one column of predictions, found Prediction and pred",
    ),
    "ids.csv": ("ID,id,prediction\na,b,x\n", "one column of ids, found ID and id"),
    "numbered.csv": (
        "id,study_id,prediction\n0,s0,x\n1,s1,y\n",
        "one column of ids, found id and study_id; name the one that is meant id",
    ),
    "numbered.json": (
        '[{"id": 0, "study_id": "s0", "report": "x"}]',
        "item 1: expected one column of ids, found id and study_id",
    ),
    "nothing.json": ("[{}]", "expected a column of ids .*, found none"),
    "pandas.csv": (
        "Unnamed: 0,No.,Generated text here\n0,s0,x\n",
        "found Unnamed: 0 and 2 others, or no header .reports alone",
    ),
    "wide.csv": (
        ",".join(f"n{k}" for k in range(11)) + "\n" + ",".join("x" * 11) + "\n",
        "found n0, n1, n2, n3, n4, n5, n6, n7 and 3 others; rename it",
    ),
    "dotted.csv": ("No.,long name\n0,x\n", "found others, or no header"),
    "alike.json": (
        '[{"id": "a", "report": "x", "Report": "y"}]',
        "item 1: expected one column of predictions, found report and Report",
    ),
    "blank.csv": ("id,prediction\na,x\na ,y\n", "every id once, found a twice"),
    "noid.csv": ("id,prediction\na,x\n ,y\n", "found none for number 2"),
    "noid.json": ('{"": "x"}', "found none for number 1"),
    "semicolons.csv": ("id;prediction\na;x\n", "commas between cells, found semicolons"),
    "listed.json": ('{"a": ["x", "y"]}', "a: expected a text, found a list of 2"),
    "ragged.csv": ("id,prediction\na\n", "expected 2 cells, found 1"),
    "latin.csv": (b"id,prediction\na,\xe9\n", "UTF-8"),
    "nan.json": ('{"a": NaN}', "NaN is no number"),
    "number.json": ('{"a": 1}', "a: expected a text, found int"),
    "items.json": ("[1]", "expected an object with id and report"),
    "list.json": ("[]", "found none"),
    "keys.json": ('{"a": "x", "a": "y"}', "stands twice"),
    "lines.txt": ("x\n", "both sides to have ids"),
    "book.xlsx": ("x", "the ending .csv, .json or .txt"),
    "few.csv": (
        "id,prediction\ns0,x\nq,y\n",
        "19 have none .s1, s2, s3, ....*1 predictions .* .q.",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(rcan, tmp_path, name):
    content, message = BAD[name]
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    code, output, _ = rcan(name, table(tmp_path / "references.csv", TEST, column="text"))
    assert output == ""
    assert isinstance(code, str) and code.startswith("error: ") and "\n" not in code
    assert code.count(name) == 1 or name == "none.csv"
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(code)


def test_a_folder_and_a_lone_file_of_predictions_are_one_line(rcan, tmp_path):
    assert "found a folder" in rcan(tmp_path, tmp_path)[0]
    assert "the references" in rcan(table(tmp_path / "a.csv", WRITTEN))[0]


def test_an_empty_reference_is_no_reference(rcan, tmp_path):
    references = table(tmp_path / "b.csv", [*TEST[:-1], "NaN"], column="text")
    code, *_ = rcan(table(tmp_path / "a.csv", WRITTEN), references)
    assert "1 of 20 are empty (s19)" in code


def test_the_paper_protocol_wants_train_reports(rcan, tmp_path):
    files = table(tmp_path / "a.csv", WRITTEN), table(tmp_path / "b.csv", TEST, column="text")
    code, *_ = rcan(*files, "--protocol", "paper")
    assert "--train" in code


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "id,prediction\np1234,secret\np9,secret\n"),
        ("a.csv", "id,prediction\np1234,secret\np1234,secret\n"),
        ("a.csv", "p1234,secret\np9,secret\n"),
        ("a.csv", "id,study_id,report\np1234,p9,secret\n"),
        ("a.json", '{"p1234": "secret", "p1234": "x"}'),
        ("a.json", '{"p1234": 7}'),
        ("a.json", '{"p1234": ["secret", "secret"]}'),
        ("a.csv", "secret words .\nsecret\n"),
        ("a.csv", "secret words\nsecret .\n"),
        ("a.csv", "id,Report,report\np1234,secret,secret\n"),
        ("a.csv", "id;report\np1234;secret\n"),
        ("a.json", '{"p1234": "secret"'),
    ],
)
def test_no_id_and_no_text_of_restricted_data_is_told(rcan, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    references = table(tmp_path / "b.csv", ["secret"], column="text", ids=["p77"])
    code, output, errors = rcan(tmp_path / name, references, "--data", "mimic_cxr")
    assert code.startswith("error: ")
    told = code.replace(str(tmp_path), "") + output + errors
    assert not any(mark in told for mark in ("p1234", "p77", "secret"))


def test_floors_of_restricted_data_are_numbers_alone(rcan, tmp_path):
    files = table(tmp_path / "a.csv", WRITTEN), annotation(tmp_path / "annotation.json")
    got = found(rcan, *files, "--data", "mimic_cxr", "--min-freq", "3")
    assert got["floors"]["best_constant"] == {"chosen_on": "val"}


def test_line_breaks_of_windows_are_no_part_of_a_report(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"the lungs\r\n\r\nclear\r\n")
    assert list(read_texts(tmp_path / "a.txt", "predictions").by_id.values()) == [
        "the lungs", "", "clear",
    ]  # fmt: skip
    (tmp_path / "b.txt").write_bytes(b"")
    with pytest.raises(UserError, match="found none"):
        read_texts(tmp_path / "b.txt", "predictions")


@pytest.mark.parametrize("data", TITLES)
def test_what_is_taken_for_a_data_set_is_what_params_yaml_says_of_it(data):
    settings = resolve(changed({"data.name": data}))
    assert data_set(data).min_freq == settings.data.min_freq
    assert data_set(data).max_length == settings.data.max_length
    assert data_set(data).restricted == settings.privacy.restricted


def test_without_the_data_sets_name_no_report_is_told_for_a_column(rcan, tmp_path):
    (tmp_path / "a.csv").write_text("s1,no secret\ns2,none\n")
    code, *_ = rcan("a.csv", table(tmp_path / "b.csv", ["x"], column="text"))
    assert "found s1 and 1 other, or no header" in code and "secret" not in code


SHEETS = {
    "empty columns": "id,prediction,,\ns0,{},,\ns1,{},,\n",
    "an empty column between": "id,,prediction\ns0,,{}\ns1,,{}\n",
    "empty rows": "id,prediction\ns0,{}\n,\ns1,{}\n,\n,\n",
    "an empty line before": "\nid,prediction\ns0,{}\ns1,{}\n",
    "empty lines after": "id,prediction\r\ns0,{}\r\ns1,{}\r\n\r\n\r\n",
    "cells past the header": "id,prediction\ns0,{},\ns1,{},\n",
    "blanks around ids": "id,prediction\ns0 ,{}\n s1\t,{}\n",
}


@pytest.mark.parametrize("sheet", SHEETS)
def test_what_a_spreadsheet_adds_changes_no_score(rcan, tmp_path, sheet):
    references = table(tmp_path / "b.csv", TEST[:2], column="text")
    (tmp_path / "a.csv").write_text(SHEETS[sheet].format(*(f'"{one}"' for one in WRITTEN[:2])))
    plain = table(tmp_path / "c.csv", WRITTEN[:2])
    a, c = (found(rcan, one, references, "--no-meteor") for one in (tmp_path / "a.csv", plain))
    assert a == c and a["num_studies"] == 2


@pytest.mark.parametrize("kind", ["r2gen", "r2gengpt"])
def test_what_others_write_is_read_as_it_is(rcan, tmp_path, kind):
    written, wanted = (["" if n == 3 else one for n, one in enumerate(WRITTEN)], TEST)
    plain = (table(tmp_path / "a.csv", written), table(tmp_path / "b.csv", wanted, column="text"))
    files = [tmp_path / name for name in ("res.csv", "gts.csv")]
    if kind == "r2gen":  # pandas: one column, neither header nor ids
        for path, texts in zip(files, (written, wanted), strict=True):
            with path.open("w", newline="") as file:
                csv.writer(file).writerows([text] for text in texts)
    else:
        files = [path.with_suffix(".json") for path in files]
        for path, texts in zip(files, (written, wanted), strict=True):
            path.write_text(json.dumps({f"s{n}": [text] for n, text in enumerate(texts)}))
    assert found(rcan, *files, "--no-meteor") == found(rcan, *plain, "--no-meteor")


def test_a_column_without_ids_and_without_a_report_first_says_how(rcan, tmp_path):
    (tmp_path / "a.csv").write_text("the lungs are clear\nno effusion .\n")
    code, *_ = rcan("a.csv", table(tmp_path / "b.csv", TEST[:2], column="text"))
    assert "reports alone, one a line, are read from a .txt" in code and "lungs" not in code


def test_words_too_rare_name_the_commands_own_option(rcan, tmp_path):
    files = table(tmp_path / "a.csv", WRITTEN), annotation(tmp_path / "annotation.json")
    code, *_ = rcan(*files, "--min-freq", "1000", "--no-meteor")
    assert "at least 1000 times" in code and "lower --min-freq" in code
    assert "data.min_freq" not in code


def test_a_file_to_compare_with_may_have_a_name_that_is_no_utf_8(rcan, tmp_path):
    files = table(tmp_path / "a.csv", WRITTEN), table(tmp_path / "b.csv", TEST, column="text")
    other = table(tmp_path / "p\udce9.csv", WRITTEN)
    got = found(rcan, *files, "--against", other, "--no-meteor", "--output", tmp_path / "out")
    assert list(got["against"]) == ["p\\udce9"]
    assert json.loads((tmp_path / "out/scores.json").read_text())["against"] == got["against"]
    assert "p\\udce9" in (tmp_path / "out/table.md").read_text()
