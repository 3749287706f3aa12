"""The CNN: torchvision's own function, weights that fit or one line that says why not."""

import os
import subprocess
import sys
from urllib.error import URLError

import pytest
import torch
import torchvision
from model_parts import randomise, settings_with
from safetensors.torch import save_file
from torch import Tensor, nn

from rcan.errors import UserError
from rcan.model.build import build_model
from rcan.model.visual.cnn import CNN, RESNET_LAYERS, _reason, build_cnn, fold_batch_norm

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def cnn_with(weights="none", backbone="resnet18", last_layer="layer4", frozen=False) -> CNN:
    return build_cnn(
        backbone=backbone, last_layer=last_layer, channels=[3, 4, 6], weights=str(weights),
        frozen=frozen,
    )  # fmt: skip


@pytest.fixture(scope="module")
def resnet18() -> nn.Module:
    """torchvision's, with weights and running statistics of no particular kind."""
    torch.manual_seed(0)
    resnet = torchvision.models.resnet18(weights=None)
    for part in resnet.modules():
        if isinstance(part, nn.BatchNorm2d):
            randomise(part)
    return resnet.eval()


def up_to_layer3(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in state.items() if not k.startswith(("layer4", "fc"))}


def save(state: object, path) -> None:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)


def images(number: int = 2, side: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (number, side, side), generator=generator).to(torch.uint8)


# --- what it runs on ---

NARROW = """
import torch
from torch import nn
from rcan.model.visual.cnn import LEAST_CHANNELS_LAST, build_cnn
torch.set_num_threads(1)
images = torch.randint(0, 256, (4, 32, 32), dtype=torch.uint8)
for width in range(1, LEAST_CHANNELS_LAST + 2):
    for wide in (1, 4, 9):
        cnn = build_cnn(backbone="small", last_layer="layer4", channels=[width, wide, width],
                        weights="none", frozen=False)
        for _ in range(3):
            cnn(images).square().sum().backward()
            others = [torch.randn(size) for size in (3, 17, 65, 200)]
print("unharmed")
"""


def test_cnns_of_any_width_leave_others_memory_alone():
    """oneDNN's fault is met with AVX2's instructions, and seen at once by malloc's checks."""
    chosen = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    checked = {"LD_PRELOAD": "libc_malloc_debug.so.0", "MALLOC_CHECK_": "3"}
    done = subprocess.run(
        [sys.executable, "-c", NARROW], capture_output=True, text=True, timeout=300,
        env={**os.environ, **chosen, **checked},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "unharmed\n"), done.stderr[-500:]
    if "cannot be preloaded" in done.stderr:  # the loader goes on without the checks
        pytest.skip("needs glibc's libc_malloc_debug.so.0, which is not on this machine")


def test_only_a_narrow_cnn_gives_up_the_fast_layout():
    def layout(channels):
        return build_cnn(
            backbone="small", last_layer="layer4", channels=channels, weights="none", frozen=False
        ).layout

    assert layout([16, 32]) == layout([8, 4]) == layout([4]) == torch.channels_last
    assert layout([7, 8]) == layout([16, 4, 32]) == torch.contiguous_format
    assert cnn_with().layout == torch.channels_last  # a ResNet


# --- what it computes ---


@pytest.mark.parametrize("last_layer", ["layer3", "layer4"])
@torch.no_grad()
def test_the_map_is_torchvisions_of_the_normalised_image(resnet18, tmp_path, last_layer):
    save(resnet18.state_dict(), tmp_path / "weights.pth")
    cnn = cnn_with(tmp_path / "weights.pth", last_layer=last_layer).eval()
    grey = images().unsqueeze(1).expand(-1, 3, -1, -1)  # repeated to three channels
    x = torchvision.transforms.functional.normalize(grey / 255, MEAN, STD)
    for name in RESNET_LAYERS[: RESNET_LAYERS.index(last_layer) + 1]:
        x = getattr(resnet18, name)(x)
    V = cnn(images())
    assert V.shape == (2, 256, 4, 4) if last_layer == "layer3" else V.shape == (2, 512, 2, 2)
    assert torch.allclose(V, x, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_small_body_sees_greys_from_minus_two_to_two():
    cnn = cnn_with(backbone="small").eval()
    seen = []
    cnn.body.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    cnn(torch.tensor([[[0, 255], [51, 204]]], dtype=torch.uint8))
    assert torch.allclose(seen[0], torch.tensor([[[[-2, 2], [-1.2, 1.2]]]]))


def test_the_small_body_starts_by_the_width_of_what_each_layer_gives():
    torch.manual_seed(0)
    first = build_cnn(
        backbone="small", last_layer="layer4", channels=[256], weights="none", frozen=False
    ).body[0]
    assert first.weight.std().item() == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.1)


@torch.no_grad()
def test_the_body_sees_each_channel_normalised_as_imagenet_was():
    seen = []
    cnn = cnn_with(last_layer="layer3").eval()
    cnn.body.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    cnn(torch.tensor([[[0, 255], [51, 102]]], dtype=torch.uint8).repeat(1, 16, 16))
    for channel, (mean, std) in enumerate(zip(MEAN, STD, strict=True)):
        expected = torch.tensor([[0 - mean, 1 - mean], [0.2 - mean, 0.4 - mean]]) / std
        assert torch.allclose(seen[0][0, channel, :2, :2], expected)


@pytest.mark.parametrize(
    ("backbone", "last_layer", "side", "shape"),
    [
        ("resnet18", "layer3", 64, (256, 4)),
        ("resnet18", "layer4", 64, (512, 2)),
        ("resnet18", "layer4", 72, (512, 3)),
        ("small", "layer4", 64, (6, 8)),
        ("small", "layer3", 30, (6, 4)),
    ],
)
def test_the_maps_shape_is_known_beforehand(backbone, last_layer, side, shape):
    cnn = cnn_with(backbone=backbone, last_layer=last_layer).train()
    before = {name: value.clone() for name, value in cnn.state_dict().items()}
    assert cnn.map_shape(side) == shape
    assert cnn.training and all(part.training for part in cnn.modules())
    assert all(torch.equal(before[name], value) for name, value in cnn.state_dict().items())
    assert cnn(images(2, side)).shape == (2, shape[0], shape[1], shape[1])


def test_the_papers_backbone_gives_2048_channels_and_7_by_7():
    with torch.device("meta"):
        assert cnn_with(backbone="resnet101").map_shape(224) == (2048, 7)


def test_the_maps_shape_is_known_on_whatever_device_the_cnn_is():
    assert cnn_with(backbone="small").to("meta").map_shape(64) == (6, 8)


@pytest.mark.parametrize("backbone", ["small", "resnet18", "resnet50"])
@torch.no_grad()
def test_folding_batch_norms_leaves_the_map_as_it_is(backbone):
    cnn = cnn_with(backbone=backbone, last_layer="layer3").eval()
    for part in cnn.modules():
        if isinstance(part, nn.BatchNorm2d):
            randomise(part)
    before = {name: value.clone() for name, value in cnn.state_dict().items()}
    V, folded = cnn(images()), fold_batch_norm(cnn)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
    assert torch.allclose(folded(images()), V, atol=1e-4 * V.abs().max().item())
    assert all(torch.equal(before[name], value) for name, value in cnn.state_dict().items())


@pytest.mark.parametrize("backbone", ["small", "resnet18"])
def test_frozen_it_evaluates_and_learns_nothing(backbone):
    cnn = cnn_with(backbone=backbone, last_layer="layer3", frozen=True)
    for _ in range(2):
        assert not any(part.training for part in cnn.modules())
        assert not any(parameter.requires_grad for parameter in cnn.parameters())
        cnn.train()
    assert not cnn(images()).requires_grad


# --- where its weights come from ---


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "to layer3"])
def test_a_local_state_dict_is_loaded_to_the_last_value(resnet18, tmp_path, name, whole):
    state = resnet18.state_dict() if whole else up_to_layer3(resnet18.state_dict())
    save(state, tmp_path / name)
    cnn = cnn_with(tmp_path / name, last_layer="layer3")
    loaded = cnn.body.state_dict()
    assert set(loaded) == set(up_to_layer3(state))
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())


def test_a_file_in_the_home_folder_is_found(resnet18, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save(resnet18.state_dict(), tmp_path / "weights.pth")
    cnn = cnn_with("~/weights.pth")
    assert torch.equal(cnn.body.conv1.weight, resnet18.conv1.weight)


class Code:
    """Unpickled, it would make a folder."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def damaged(case: str, state: dict[str, Tensor], folder):
    """A file that is not the state dict it should be; its path."""
    path = folder / "weights.pth"
    match case:
        case "nothing there":
            return path
        case "a folder":
            return folder
        case "words":
            path.write_text("weights")
        case "empty":
            path.touch()
        case "cut off":
            torch.save(state, path)
            path.write_bytes(path.read_bytes()[:100_000])
        case "words, .safetensors":
            path = folder / "weights.safetensors"
            path.write_text("weights")
        case "pickled code":
            torch.save({"conv1.weight": Code(folder / "ran")}, path)
        case "a list":
            torch.save(list(state.values()), path)
        case "a checkpoint around it":
            torch.save({"state_dict": state, "epoch": 3}, path)
        case "no tensors":
            torch.save({}, path)
        case "up to layer3":
            torch.save(up_to_layer3(state), path)
        case "one value missing":
            torch.save({k: v for k, v in state.items() if k != "layer2.1.bn2.running_var"}, path)
        case "one shape wrong":
            torch.save(state | {"layer1.0.conv1.weight": torch.zeros(64, 64, 1, 1)}, path)
        case "another library's names":
            torch.save({f"module.{k}": v for k, v in state.items()}, path)
        case "a stranger among them":
            torch.save(state | {"head.weight": torch.zeros(1)}, path)
        case "resnet34's":
            torch.save(torchvision.models.resnet34(weights=None).state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("nothing there", "no such file"),
        ("a folder", "no such file"),
        ("words", "cannot be read as a state dict"),
        ("empty", "cannot be read as a state dict"),
        ("cut off", "cannot be read as a state dict"),
        ("words, .safetensors", "cannot be read as a state dict"),
        ("pickled code", "cannot be read as a state dict"),
        ("a list", "must hold a state dict"),
        ("a checkpoint around it", "must hold a state dict"),
        ("no tensors", "lacks conv1.weight"),
        ("up to layer3", "lacks layer4.0.conv1.weight"),
        ("one value missing", r"lacks layer2.1.bn2.running_var \(1 such\)"),
        ("one shape wrong", r"another shape for layer1.0.conv1.weight \(1 such\)"),
        ("another library's names", "lacks conv1.weight"),
        ("a stranger among them", r"has head.weight \(1 such\)"),
        ("resnet34's", "layer1.2.conv1.weight"),
    ],
)
def test_weights_that_do_not_fit_are_one_line_and_never_a_random_start(
    resnet18, tmp_path, case, message
):
    path = damaged(case, resnet18.state_dict(), tmp_path)
    with pytest.raises(UserError, match=message) as error:
        cnn_with(path)
    assert "visual.weights" in str(error.value) and str(path) in str(error.value)
    assert str(error.value).isprintable()  # one line, no terminal codes
    assert len(str(error.value)) < 600
    assert not (tmp_path / "ran").exists()


def test_imagenet_weights_are_torchvisions_own(resnet18, monkeypatch):
    asked = []

    def load(url, **options):
        asked.append((url, options["check_hash"]))
        return resnet18.state_dict()

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", load)
    cnn = cnn_with("imagenet")
    assert torch.equal(cnn.body.layer4[1].conv2.weight, resnet18.layer4[1].conv2.weight)
    assert asked == [(torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url, True)]


@pytest.mark.parametrize(
    "problem",
    [URLError("no\nroute"), TimeoutError("slow"), RuntimeError("invalid hash value"),
     PermissionError("read-only cache"), EOFError("an empty file in the cache")],
    ids=lambda problem: type(problem).__name__,
)  # fmt: skip
def test_imagenet_weights_that_cannot_be_had_are_one_line(monkeypatch, problem):
    def fail(*_, **__):
        raise problem

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    with pytest.raises(UserError, match=r"visual\.weights .* resnet18-\w+\.pth") as error:
        cnn_with("imagenet")
    assert str(error.value).isprintable()


def test_only_a_model_that_a_checkpoint_will_fill_is_built_without_its_weights(tmp_path):
    settings = settings_with(
        {
            "visual.backbone": "resnet18",
            "visual.weights": str(tmp_path / "gone.pth"),
            "visual.token_grid": None,
        }
    )
    assert build_model(settings, 14, pretrained=False).visual.cnn.body.conv1.weight.isfinite().all()
    with pytest.raises(UserError, match="no such file"):
        build_model(settings, 14)


def test_random_weights_follow_the_global_seed():
    def weights(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        return cnn_with(backbone="small").state_dict()

    first, again, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["body.0.weight"], other["body.0.weight"])


def test_kept_imagenet_weights_load_to_layer3(shared):
    path = shared / "data" / "weights" / "resnet18_imagenet_conv1_to_layer3_bnfolded.pth"
    cnn = cnn_with(path, last_layer="layer3", frozen=True)
    assert cnn.map_shape(224) == (256, 14)
    V = cnn(images(1, 224))
    assert V.shape == (1, 256, 14, 14) and V.isfinite().all() and V.std() > 0.1
    with pytest.raises(UserError, match=r"lacks layer4\.0\.conv1\.weight"):
        cnn_with(path)


def test_the_reason_is_the_kind_of_error_and_the_first_sentence_it_says():
    assert _reason(ValueError("one\n thing. Another")) == "ValueError: one thing"
    assert _reason(TimeoutError()) == "TimeoutError"
