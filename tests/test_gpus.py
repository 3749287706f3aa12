"""Trainings at once on one machine: each takes a GPU of its own as long as there is one."""

import pytest

from rcan.training.gpus import free_gpu


@pytest.fixture(autouse=True)
def all_visible(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_each_training_takes_the_first_free_gpu(tmp_path):
    with free_gpu(tmp_path, 2) as first:
        with free_gpu(tmp_path, 2) as second:
            assert (first, second) == (0, 1)
        with free_gpu(tmp_path, 2) as again:
            assert again == 1


def test_all_taken_means_sharing_the_first(tmp_path):
    with free_gpu(tmp_path, 1), free_gpu(tmp_path, 1) as shared:
        assert shared == 0


def test_gpus_are_told_apart_by_their_own_names(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with free_gpu(tmp_path, 1):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 3,MIG-GPU-1/0/1")
        with free_gpu(tmp_path, 3) as second, free_gpu(tmp_path, 3) as third:
            assert (second, third) == (0, 2)


def test_a_gpu_is_free_again_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), free_gpu(tmp_path, 2):
        raise RuntimeError
    with free_gpu(tmp_path, 2) as index:
        assert index == 0
