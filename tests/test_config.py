"""Settings: what each profile resolves to, and that whatever is wrong is told in one line."""

import sys
from types import ModuleType

import pytest
from dvc.utils.serialize._yaml import loads_yaml
from tiny import PARAMS, TOP, changed

from rcan.config import PROFILES, from_dict, load_settings, resolve
from rcan.config.families import family_class
from rcan.config.resolve import file_sections
from rcan.errors import UserError
from rcan.reading import parse_yaml

DEMO = {"data.name": "demo"}
IU_XRAY = {"data.name": "iu_xray"}
IU_XRAY_SMALL = {"data.name": "iu_xray", "scale": "small"}
MIMIC_CXR = {"data.name": "mimic_cxr"}

WRONG_VALUES = [  # key, value, what is said of it
    ("wcl.tau", "abc", "wcl.tau is 'abc'; it must be a number above 0"),
    ("wcl.tau", 0, "wcl.tau is 0; it must be a number above 0"),
    ("wcl.tau", -0.1, "wcl.tau is -0.1; it must be a number above 0"),
    ("wcl.tau", float("nan"), "wcl.tau is nan; it must be a number above 0"),
    ("wcl.tau", float("inf"), "wcl.tau is inf; it must be a number above 0"),
    ("wcl.tau", True, "wcl.tau is True; it must be a number above 0"),
    ("wcl.tau", None, "wcl.tau is None; it must be a number above 0"),
    ("wcl.tau", [0.1], "wcl.tau is [0.1]; it must be a number above 0"),
    ("wcl.lambda_ce", 1.1, "wcl.lambda_ce is 1.1; it must be a number at least 0 and at most 1"),
    ("wcl.lambda_ce", float("nan"), "wcl.lambda_ce is nan; it must be a number at least 0 and"),
    ("wcl.denominator", "both", "wcl.denominator is 'both'; it must be negatives or all"),
    ("model.dropout", 1, "model.dropout is 1; it must be a number at least 0 and below 1"),
    ("model.dropout", float("nan"), "model.dropout is nan; it must be a number at least 0"),
    ("model.use_rve", "yes", "model.use_rve is 'yes'; it must be true or false"),
    ("model.use_rve", 1, "model.use_rve is 1; it must be true or false"),
    ("model.d_model", 0, "model.d_model is 0; it must be a whole number at least 1"),
    ("model.d_model", 16.0, "model.d_model is 16.0; it must be a whole number at least 1"),
    ("model.d_model", "16", "model.d_model is '16'; it must be a whole number at least 1"),
    ("model.d_model", True, "model.d_model is True; it must be a whole number at least 1"),
    ("train.seed", -1, "train.seed is -1; it must be a whole number at least 0"),
    ("train.optimizer", "sdg", "train.optimizer is 'sdg'; it must be adam, adamw or sgd"),
    ("train.lr", 0.0, "train.lr is 0.0; it must be a number above 0"),
    ("train.lr_decay", 1.5, "train.lr_decay is 1.5; it must be a number above 0 and at most 1"),
    ("train.lr_decay", float("nan"), "train.lr_decay is nan; it must be a number above 0"),
    ("train.beta2", 1.0, "train.beta2 is 1.0; it must be a number at least 0 and below 1"),
    ("visual.channels", 24, "visual.channels is 24; it must be a list of 1 to 10, each a whole"),
    ("visual.channels", [], "visual.channels is []; it must be a list of 1 to 10"),
    ("visual.channels", [1] * 11, "visual.channels is [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]; it must"),
    ("model.num_encoder_layers", 101, "model.num_encoder_layers is 101; it must be a whole number"),
    (
        "model.d_ff",
        10**6,
        "model.d_ff is 1000000; it must be a whole number at least 1 and at most",
    ),
    ("train.clip_norm", 0, "train.clip_norm is 0; it must be a number above 0 or empty"),
    ("train.patience", 0, "train.patience is 0; it must be a whole number at least 1 and at most"),
    ("train.devices", "all", "train.devices is 'all'; it must be a whole number at least 1 and"),
    ("train.epochs", 10**10, "train.epochs is 10000000000; it must be a whole number at least 1"),
    ("train.accelerator", "gpu", "train.accelerator is 'gpu'; it must be auto, cpu or cuda"),
    ("generate.beam_size", 101, "generate.beam_size is 101; it must be a whole number at least"),
    ("generate.length_penalty", [], "generate.length_penalty is []; it must be a list"),
    ("generate.length_penalty", [-1.0], "generate.length_penalty is [-1.0]; it must be a list"),
    ("data.image_size", 8, "data.image_size is 8; it must be a whole number at least 16 and at"),
    ("data.name", "iu-xray", "data.name is 'iu-xray'; it must be demo, iu_xray or mimic_cxr"),
    ("data.name", {"demo": "demo"}, "data.name is {'demo': 'demo'}; it must be demo, iu_xray or"),
    ("data.num_views", 3, "data.num_views is 3; it must be 1 or 2"),
    ("data.root", 5, "data.root is 5; it must be a text or empty"),
    ("visual.weights", "", "visual.weights is ''; it must be a text"),
    ("scale", "tiny", "scale is 'tiny'; it must be full or small"),
    ("eval.resamples", 10, "eval.resamples is 10; it must be a whole number at least 100"),
    ("wcl", "abc", "wcl must be a section of keys; it is 'abc'"),
    ("wcl", None, "wcl must be a section of keys; it is None"),
    ("wcl", [], "wcl must be a section of keys; it is []"),
]

WRONG_NAMES = [
    ("wlc", 1, "unknown key wlc; did you mean wcl?"),
    ("wcl.taau", 0.1, "unknown key wcl.taau; did you mean wcl.tau?"),
    ("model.rve", True, "unknown key model.rve; did you mean model.use_rve?"),
    ("model.zzz", True, "unknown key model.zzz; known: family, use_rve, use_cgm"),
    (7, 1, "unknown key 7; known: scale, data"),
]

WRONG_PROFILES = [
    ({"paper": 1, "iu-xray": 2}, "unknown profile 'iu-xray'; known: demo, paper", "iu_xray?"),
    ({"paper": 512, "demo": "big"}, "model.d_model.demo is 'big'; it must be a whole", None),
    ({"demo": 16, "mimic_cxr": 0}, "model.d_model.mimic_cxr is 0; it must be a whole", None),
    ({"demo": 16, "small": None}, "model.d_model.small is None; it must be a whole", None),
    ({"paper": 512}, "model.d_model has no value for demo; add one or give one value", None),
    ({}, "model.d_model has no value for demo", None),
    ({"demo": {"demo": 16}}, "model.d_model.demo is {'demo': 16}; it must be a whole", None),
]

WRONG_TOGETHER = [
    ({"model.num_heads": 3}, "model.d_model (128) must be a multiple of model.num_heads (3)"),
    ({"model.d_model": 9, "model.num_heads": 3}, "model.d_model (9) must be even"),
    ({"cgm.num_heads": 3}, "model.d_model (128) must be a multiple of cgm.num_heads (3)"),
    ({"cgm.top_k": 65}, "cgm.top_k (65) must be at most cgm.num_slots (64)"),
    ({"visual.crop": 55}, "visual.crop (55) must be at most data.image_size (54)"),
    ({"visual.feature_window": 2}, "visual.feature_window is for kept features"),
    ({"data.num_views": 1}, "wcl.views: images needs two images a study"),
    ({"visual.weights": "imagenet"}, "visual.weights is 'imagenet', but backbone small has none"),
    ({"scale": "small"}, "scale: small is for iu_xray and mimic_cxr"),
]

FILES = [
    (b"", "expected sections (scale, data"),
    (b"# nothing but words\n", "expected sections (scale, data"),
    (b"- 1\n- 2\n", "expected sections (scale, data"),
    (b"full", "expected sections (scale, data"),
    (b"scale: full\n\tdata: 1\n", "is not valid YAML"),
    (b"scale: [full\n", "is not valid YAML"),
    (b"scale: full\nscale: small\n", "is not valid YAML"),
    (b"a: 1\n---\nb: 2\n", "is not valid YAML"),
    (b"scale: !!python/object:os.system x\n", "is not valid YAML"),
    (b"scale: \xff\xfe\n", "expected settings in UTF-8"),
    (b"scale: \x00\n", "is not valid YAML"),
    (b"scale: full\n", "data is missing; it must be a section of keys"),
]


def message_of(raw: dict) -> str:
    with pytest.raises(UserError) as caught:
        resolve(raw)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(("key", "value", "said"), WRONG_VALUES)
def test_a_wrong_value_is_told_with_its_key_what_came_and_what_may_stand_there(key, value, said):
    assert message_of(changed({key: value})).startswith(said)


@pytest.mark.parametrize(("key", "value", "said"), WRONG_NAMES)
def test_an_unknown_key_is_told_with_the_nearest_known_one(key, value, said):
    raw = changed({key: value} if isinstance(key, str) else {}) | ({7: 1} if key == 7 else {})
    assert message_of(raw).startswith(said)


@pytest.mark.parametrize(
    "key", [f"{s}.{k}" for s, keys in PARAMS.items() if isinstance(keys, dict) for k in keys]
)
def test_every_key_must_be_there(key):
    section, field = key.split(".")
    raw = changed({})
    del raw[section][field]
    assert message_of(raw).startswith(f"{key} is missing; it must be ")


@pytest.mark.parametrize(("value", "said", "near"), WRONG_PROFILES)
def test_every_profile_is_checked_also_those_not_in_use(value, said, near):
    message = message_of(changed({"model.d_model": value}))
    assert said in message
    assert near is None or message.endswith(f"did you mean {near}")


@pytest.mark.parametrize(("changes", "said"), WRONG_TOGETHER)
def test_values_that_do_not_go_together_are_told_by_both_names(changes, said):
    assert message_of(changed(changes)).startswith(said)


def test_a_part_that_is_off_demands_nothing_of_the_others():
    off = {"model.use_cgm": False, "model.use_wcl": False}
    resolve(changed(off | {"cgm.num_heads": 3, "cgm.top_k": 65, "data.num_views": 1}))


@pytest.mark.parametrize(("content", "said"), FILES)
def test_a_file_that_is_not_settings_is_told_by_its_name_in_one_line(content, said, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_settings(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and said in message and "\n" not in message


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(UserError, match="not found: run from the top folder"):
        load_settings(tmp_path / "params.yaml")


@pytest.mark.parametrize("written", ["1e-4", "1e-04", "1.0e-4", "1E-4", "0.0001", ".0001"])
def test_a_number_may_be_written_in_any_way_of_yaml_1_2(written, tmp_path):
    text = (TOP / "params.yaml").read_text(encoding="utf-8")
    path = tmp_path / "params.yaml"
    path.write_text(text.replace("  lr_decay: 0.8 ", f"  lr_decay: {written} "), encoding="utf-8")
    assert load_settings(path).train.lr_decay == 1e-4


# What YAML 1.1 and 1.2, PyYAML and ruamel.yaml take for different values.
SCALARS = (
    "no", "Yes", "on", "n", "True", "tRue", "null", "~", "", "1e-3", "1E3", "1.e3", "1.0e-3", ".5",
    ".5e3", ".5e+3", "-.5", "1_000", "1_0.5", "1__0", "0x_1", "010", "08", "0o10", "0O10", "0b11",
    "0b12", "0x1F", "0xg", "-010", "+12", "1:30", "190:20:30", "1.5:3", "01.5", "0", "-0.0", ".inf",
    "-.Inf", ".nan", "inf", "1e", "0.1.2", "1,000", "2001-01-01", "[1, no]", "{a: 010}", "[a:1]",
    "!!int 010", "!!float 1", "!!str 1", "!!bool no", "a#b", "a # b", "<<: {a: 1}", "'1e-3'",
)  # fmt: skip


@pytest.mark.parametrize("scalar", SCALARS)
def test_yaml_holds_the_values_that_dvc_finds_there(scalar):
    try:
        held = loads_yaml(f"key: {scalar}")
    except Exception:
        with pytest.raises(ValueError):
            parse_yaml(f"key: {scalar}")
    else:
        assert repr(parse_yaml(f"key: {scalar}")) == repr(held)


def test_yaml_that_only_dvc_would_read_by_older_rules_is_refused():
    assert loads_yaml("%YAML 1.1\n---\nkey: no") == {"key": False}
    with pytest.raises(ValueError, match=r"expected YAML 1\.2"):
        parse_yaml("%YAML 1.1\n---\nkey: no")


# §4.1.2 and, for tau and lambda, the best of Table 5 and Fig. 5
PAPER = {
    "visual.backbone": "resnet101", "visual.weights": "imagenet", "visual.last_layer": "layer4",
    "visual.frozen": False, "visual.crop": 224, "visual.feature_pool": 1,
    "visual.feature_window": None, "visual.token_grid": None,
    "model.use_rve": True, "model.use_cgm": True, "model.use_wcl": True,
    "model.d_model": 512, "model.num_heads": 8,
    "model.num_encoder_layers": 3, "model.num_decoder_layers": 3, "model.patch_positions": "none",
    "rve.residual": "outer", "rve.spatial": "depthwise", "rve.bottleneck": None,
    "cgm.num_slots": 2048, "cgm.top_k": None, "cgm.gate": "gated",
    "wcl.tau": 0.1, "wcl.lambda_ce": 0.7, "wcl.denominator": "negatives", "wcl.features": "V",
    "train.optimizer": "adam", "train.lr_visual": 5e-4, "train.lr": 1e-4, "train.batch_size": 16,
    "train.beta1": 0.9, "train.beta2": 0.999, "train.weight_decay": 0.0, "train.amsgrad": False,
    "train.schedule": "exponential", "train.lr_decay": 0.8, "train.warmup_steps": 0,
    "train.length_buckets": 1, "train.patience": None,
    "generate.beam_size": 3, "generate.length_penalty": [0.0],
}  # fmt: skip
PAPER_IU_XRAY = PAPER | {
    "data.num_views": 2, "data.max_length": 60, "data.min_freq": 3, "train.epochs": 100,
    "wcl.views": "images",
}  # fmt: skip
PAPER_MIMIC_CXR = PAPER | {
    "data.num_views": 1, "data.max_length": 100, "data.min_freq": 10, "train.epochs": 30,
    "wcl.views": "augment",
}  # fmt: skip


@pytest.mark.parametrize(
    ("chosen", "stated"),
    [(IU_XRAY, PAPER_IU_XRAY), (MIMIC_CXR, PAPER_MIMIC_CXR)],
    ids=["iu_xray", "mimic_cxr"],
)
def test_full_size_is_what_the_paper_states(chosen, stated):
    settings = resolve(changed(chosen)).model_dump()
    found = {key: settings[key.split(".")[0]][key.split(".")[1]] for key in stated}
    assert found == stated


@pytest.mark.parametrize("chosen", [IU_XRAY, MIMIC_CXR, DEMO, IU_XRAY_SMALL])
def test_every_profile_resolves_and_reads_back_equal(chosen):
    settings = resolve(changed(chosen))
    assert from_dict(settings.of_the_model()).of_the_model() == settings.of_the_model()


def test_the_small_scale_wins_over_the_data_set_and_that_over_the_paper():
    by_profile = {"demo": 2, "paper": 4, "iu_xray": 6, "mimic_cxr": 8, "small": 10}
    for chosen, expected in (
        (DEMO, 2), (IU_XRAY, 6), (MIMIC_CXR, 8), (IU_XRAY_SMALL, 10),
    ):  # fmt: skip
        settings = resolve(changed(chosen | {"model.num_encoder_layers": by_profile}))
        assert settings.model.num_encoder_layers == expected
    for chosen in (IU_XRAY, IU_XRAY_SMALL):
        settings = resolve(changed(chosen | {"model.num_encoder_layers": {"paper": 4}}))
        assert settings.model.num_encoder_layers == 4


def test_the_small_scale_keeps_what_makes_it_the_same_task():
    full, small = resolve(changed(IU_XRAY)), resolve(changed(IU_XRAY_SMALL))
    assert small.data == full.data
    assert small.eval == full.eval
    assert small.generate.beam_size == full.generate.beam_size
    assert small.model.d_model < full.model.d_model


def test_settings_cannot_be_edited():
    settings = resolve(changed({}))
    with pytest.raises(ValueError, match="frozen"):
        settings.family.wcl.tau = 0.2


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        (
            {"wcl.tau": 0.07, "wcl.lambda_ce": 0.7},
            "RVE+CGM+WCL tau=0.07 lambda=0.7 seed=1",
        ),
        ({"model.use_wcl": False, "train.seed": 2}, "RVE+CGM seed=2"),
        ({f"model.use_{m}": False for m in ("rve", "cgm", "wcl")}, "Transformer seed=1"),
        (
            {"model.use_rve": False, "model.use_wcl": False, "cgm.gate": "response"},
            "CGM gate=response seed=1",
        ),
    ],
)
def test_a_run_is_named_by_what_is_on(changes, name):
    assert resolve(changed(changes)).name == name


@pytest.mark.parametrize("damage", [{"wcl": {}}, {"later": 1}, {"scale": 3}])
def test_settings_kept_beside_a_model_are_checked_too(damage):
    kept = resolve(changed({})).of_the_model() | damage
    with pytest.raises(UserError, match="these settings are not of this version") as caught:
        from_dict(kept)
    assert "\n" not in str(caught.value)


def test_settings_kept_before_threads_were_one_still_load():
    kept = resolve(changed({})).of_the_model()
    del kept["train"]["threads"]
    assert from_dict(kept).train.threads is None  # as many as there were cores
    assert "threads" not in kept["train"]


@pytest.mark.parametrize(("collapsed", "choose"), [(True, "best"), (False, "varied")])
def test_settings_kept_before_an_epoch_could_be_the_last_still_load(collapsed, choose):
    kept = resolve(changed({})).of_the_model()
    del kept["train"]["choose"]
    kept["train"]["choose_collapsed"] = collapsed
    assert from_dict(kept).train.choose == choose


def test_patience_and_the_last_epoch_do_not_go_together():
    with pytest.raises(UserError, match=r"train\.patience is for train\.choose best or varied"):
        resolve(changed({"train.patience": 3, "train.choose": "last"}))


def test_the_file_names_no_profile_that_is_never_used():
    used = {
        profile
        for keys in PARAMS.values() if isinstance(keys, dict)
        for value in keys.values() if isinstance(value, dict)
        for profile in value
    }  # fmt: skip
    assert used == set(PROFILES)
    assert list(PARAMS) == ["scale", *file_sections()]


def test_two_families_with_a_section_of_one_name_are_refused(monkeypatch):
    reader = sys.modules[file_sections.__module__]
    monkeypatch.setattr(reader, "family_names", lambda: ("rcan", "rcan"))
    with pytest.raises(UserError, match="cgm of rcan in another too; rename it in rcan/config/fam"):
        resolve(PARAMS)


def test_a_family_whose_module_lacks_its_class_is_named(monkeypatch):
    name = "rcan.config.families.unfinished"
    monkeypatch.setitem(sys.modules, name, ModuleType(name))
    with pytest.raises(UserError, match=r"families/unfinished\.py: expected it to define Config"):
        family_class("unfinished")
