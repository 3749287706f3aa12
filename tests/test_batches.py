"""Batches: every study once an epoch, in an order and with crops that seed and epoch decide."""

import numpy as np
import pytest
import torch

from rcan.data.batches import PROJECTION_IDS, Batch, StudyBatches

BOS, EOS, PAD = 1, 2, 0
NUM_STUDIES = 23


def study_batches(
    num: int = NUM_STUDIES, *, batch_size=4, window=5, num_views=2, source=None, lengths=None
) -> StudyBatches:
    """Studies told apart by their first word, 10 + k; image r is grey level r all over."""
    if source is None:
        levels = np.arange(num * num_views, dtype=np.uint8)
        source = np.broadcast_to(levels[:, None, None], (len(levels), 8, 8))
    rows = np.arange(num * num_views).reshape(num, num_views)
    projections = np.tile(np.array([1, 2, 0])[:num_views], (num, 1))
    lengths = lengths if lengths is not None else [k % 7 for k in range(num)]
    tokens = [[BOS, 10 + k, *[5] * length, EOS] for k, length in enumerate(lengths)]
    return StudyBatches(
        source, rows, projections, tokens, window=window, batch_size=batch_size, pad_id=PAD
    )


def epoch_of(batches: StudyBatches, seed=1, epoch=1, length_buckets=1, **options):
    return list(batches.shuffled(seed=seed, epoch=epoch, length_buckets=length_buckets, **options))


def studies_of(batches) -> list[int]:
    return [study for batch in batches for study in (batch.tokens[:, 1] - 10).tolist()]


def same(one, other) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a.images, b.images)
        and torch.equal(a.projections, b.projections)
        and torch.equal(a.tokens, b.tokens)
        for a, b in zip(one, other, strict=True)
    )


def ramp(num: int, side: int = 8) -> np.ndarray:
    """Images whose pixels tell their own place: 16 * row + column."""
    one = 16 * np.arange(side)[:, None] + np.arange(side)
    return np.broadcast_to(one.astype(np.uint8), (num, side, side))


def test_projections_are_numbered_as_models_were_trained():
    assert PROJECTION_IDS == {None: 0, "frontal": 1, "lateral": 2}


@pytest.mark.parametrize("length_buckets", [1, 2, 8, 100])
@pytest.mark.parametrize("num", [1, 3, 4, 5, NUM_STUDIES])
def test_an_epoch_visits_every_study_exactly_once(num, length_buckets):
    batches = study_batches(num)
    epoch = epoch_of(batches, length_buckets=length_buckets)
    assert sorted(studies_of(epoch)) == list(range(num))
    assert len(epoch) == batches.num_batches
    assert len(batches) == num


@pytest.mark.parametrize("length_buckets", [1, 4])
def test_seed_and_epoch_alone_decide_the_batches(length_buckets):
    def run(**which):
        return epoch_of(study_batches(), length_buckets=length_buckets, **which)

    assert same(run(seed=1, epoch=2), run(seed=1, epoch=2))
    assert studies_of(run(seed=1, epoch=1)) != studies_of(run(seed=1, epoch=2))
    assert studies_of(run(seed=1, epoch=1)) != studies_of(run(seed=2, epoch=1))
    assert studies_of(run(seed=1, epoch=2)) != studies_of(run(seed=2, epoch=1))


def test_batches_do_not_depend_on_torchs_random_state():
    torch.manual_seed(1)
    one = epoch_of(study_batches())
    torch.manual_seed(2)
    torch.rand(3)
    assert same(one, epoch_of(study_batches()))


@pytest.mark.parametrize("length_buckets", [1, 4])
@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_each_batch_and_none_twice(world_size, length_buckets):
    batches = study_batches()
    whole = epoch_of(batches, length_buckets=length_buckets)
    shares = [
        epoch_of(batches, length_buckets=length_buckets, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for batch, *parts in zip(whole, *shares, strict=True):
        sizes = [len(part.images) for part in parts]
        assert min(sizes) >= max(1, max(sizes) - 1)
        assert set(studies_of(parts)) == set(studies_of([batch]))
        assert len(studies_of(parts)) == max(len(batch.images), world_size)


def test_a_study_is_cut_alike_however_many_processes_share_its_batch():
    batches = study_batches(source=ramp(2 * NUM_STUDIES))
    whole = epoch_of(batches)
    shares = [epoch_of(batches, rank=rank, world_size=2) for rank in (0, 1)]
    for batch, *parts in zip(whole, *shares, strict=True):
        for rank, part in enumerate(parts):
            first = rank % len(batch.images)
            assert torch.equal(part.images, batch.images[first::2])


def test_buckets_lower_the_padding_and_keep_the_batches_shuffled():
    lengths = np.random.default_rng(3).integers(0, 60, 200).tolist()
    batches = study_batches(200, lengths=lengths, window=None)

    def words(epoch) -> int:
        return sum(batch.tokens.numel() for batch in epoch)

    plain, bucketed = epoch_of(batches), epoch_of(batches, length_buckets=8)
    real = sum(length + 3 for length in lengths)
    assert real <= words(bucketed) < real + 0.4 * (words(plain) - real)
    widths = [batch.tokens.shape[1] for batch in bucketed[:8]]
    assert widths != sorted(widths)


def test_a_training_crop_lies_inside_and_varies():
    batches = study_batches(source=ramp(2 * NUM_STUDIES))
    corners = set()
    for epoch in (1, 2):
        for batch in epoch_of(batches, epoch=epoch):
            for image in batch.images.flatten(0, 1):
                top, left = divmod(int(image[0, 0]), 16)
                assert 0 <= top <= 3 and 0 <= left <= 3
                assert torch.equal(image, torch.from_numpy(ramp(1)[0][top:, left:][:5, :5].copy()))
                corners.add((top, left))
    assert len(corners) == 16  # every place there is


def test_the_views_of_a_study_are_cropped_independently():
    batches = study_batches(source=ramp(2 * NUM_STUDIES))
    assert any(
        not torch.equal(first, second)
        for batch in epoch_of(batches)
        for first, second in batch.images
    )


@pytest.mark.parametrize(("side", "window", "first"), [(8, 5, 1), (8, 4, 2), (8, 8, 0), (7, 4, 1)])
def test_evaluation_reads_in_order_and_cuts_the_centre(side, window, first):
    batches = study_batches(source=ramp(2 * NUM_STUDIES, side), window=window)
    read = list(batches.in_order())
    assert studies_of(read) == list(range(NUM_STUDIES))
    centre = torch.from_numpy(ramp(1, side)[0][first:, first:][:window, :window].copy())
    for batch in read:
        assert all(torch.equal(image, centre) for image in batch.images.flatten(0, 1))
    assert same(read, list(batches.in_order()))


def test_a_batch_holds_its_own_studies_images_in_the_order_of_their_views():
    for batch in epoch_of(study_batches()):
        studies = batch.tokens[:, 1] - 10
        levels = batch.images[:, :, 0, 0].long()
        assert torch.equal(levels, torch.stack([2 * studies, 2 * studies + 1], 1))
        assert torch.equal(batch.projections, torch.tensor([[1, 2]]).expand(len(studies), 2))


def test_images_are_bytes_and_reports_are_padded_with_the_padding_mark():
    batch = next(study_batches(num_views=1).in_order())
    assert batch.images.dtype == torch.uint8 and batch.images.shape == (4, 1, 5, 5)
    assert batch.projections.dtype == batch.tokens.dtype == torch.int64
    assert batch.tokens.tolist() == [
        [BOS, 10, EOS, PAD, PAD, PAD],
        [BOS, 11, 5, EOS, PAD, PAD],
        [BOS, 12, 5, 5, EOS, PAD],
        [BOS, 13, 5, 5, 5, EOS],
    ]


@pytest.mark.parametrize(("window", "side"), [(3, 3), (None, 4)])
def test_features_are_cut_in_their_map_and_stay_half_precision(window, side):
    features = np.arange(2 * NUM_STUDIES * 6 * 16, dtype=np.float16).reshape(-1, 6, 4, 4)
    batches = study_batches(source=features, window=window)
    batch = next(batches.in_order())
    assert batch.images.dtype == torch.float16 and batch.images.shape == (4, 2, 6, side, side)
    assert torch.equal(batch.images[0, 1], torch.from_numpy(features[1, :, :side, :side]))
    places = {
        tuple(image[0, 0].tolist()) for b in epoch_of(batches) for image in b.images.flatten(0, 1)
    }
    assert len(places) > 2 * NUM_STUDIES * 0.5


def plain_epoch(source, rows, projections, tokens, *, window, batch_size, **options):
    """The batches of one epoch, image by image and word by word."""
    seed, epoch, buckets = (options[key] for key in ("seed", "epoch", "length_buckets"))
    rank, world_size = options["rank"], options["world_size"]
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(rows)).tolist()
    cut = []
    for first in range(0, len(order), batch_size * buckets):
        pool = order[first : first + batch_size * buckets]
        if buckets > 1:
            pool.sort(key=lambda study: len(tokens[study]))
        cut += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    for number in rng.permutation(len(cut)).tolist() if buckets > 1 else range(len(cut)):
        studies = cut[number]
        own = np.random.default_rng([seed, epoch, number, 0])
        mine = range(rank % len(studies), len(studies), world_size)
        images = [torch.from_numpy(source[row].copy()) for study in studies for row in rows[study]]
        side = source.shape[-1]
        corners = own.integers(0, side - window + 1, size=(len(images), 2)).tolist()
        images = [
            image[..., top : top + window, left : left + window]
            for image, (top, left) in zip(images, corners, strict=True)
        ]
        images = torch.stack(images).unflatten(0, (len(studies), -1))[list(mine)]
        studies = [studies[place] for place in mine]
        width = max(len(tokens[study]) for study in studies)
        yield Batch(
            images,
            torch.tensor([projections[study].tolist() for study in studies]),
            torch.tensor([tokens[i] + [PAD] * (width - len(tokens[i])) for i in studies]),
            PAD,
        )


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("length_buckets", [1, 3])
@pytest.mark.parametrize(("shape", "window"), [((9, 9), 5), ((3, 6, 6), 4), ((3, 6, 6), 6)])
def test_batches_are_those_of_a_plain_loop(shape, window, length_buckets, world_size):
    draw = np.random.default_rng(1)
    source = draw.integers(0, 256, (60, *shape)).astype(np.uint8 if len(shape) == 2 else np.float16)
    rows, projections = draw.integers(0, 60, (29, 2)), draw.integers(0, 3, (29, 2))
    tokens = [draw.integers(3, 99, draw.integers(1, 20)).tolist() for _ in range(29)]
    sizes = {"window": window, "batch_size": 6}
    batches = StudyBatches(source, rows, projections, tokens, pad_id=PAD, **sizes)
    for rank in range(world_size):
        options = {"seed": 7, "epoch": 2, "length_buckets": length_buckets}
        options |= {"rank": rank, "world_size": world_size}
        expected = plain_epoch(source, rows, projections, tokens, **sizes, **options)
        read = list(batches.shuffled(**options))
        assert same(read, list(expected))
        assert all(x.is_contiguous() for b in read for x in (b.images, b.projections, b.tokens))
        assert {b.images.dtype for b in read} == {torch.from_numpy(source).dtype}


def test_batches_of_a_mapped_file_are_those_of_the_array(tmp_path):
    levels = np.random.default_rng(1).integers(0, 256, (2 * NUM_STUDIES, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "images.npy", levels)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert same(epoch_of(study_batches(source=mapped)), epoch_of(study_batches(source=levels)))


def test_to_moves_all_three_tensors():
    batch = next(study_batches().in_order()).to(torch.device("meta"))
    assert {x.device.type for x in (batch.images, batch.projections, batch.tokens)} == {"meta"}
