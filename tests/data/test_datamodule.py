from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, DistributedSampler, SequentialSampler, TensorDataset

from etm_app.data.corpus import SPLITS, BowCorpus
from etm_app.data.counts.counts import CountsDataModule
from etm_app.data.datamodule import BowDataModule, training_set
from etm_app.data.text.newsgroups import NewsgroupsDataModule
from etm_app.data.text.texts import TextDataModule
from etm_app.errors import UserError
from etm_app.model import ETM
from tests.planted import SPLITS as PLANTED_SPLITS
from tests.planted import VOCAB, PlantedDataModule, planted_counts
from tests.reference import dense


class Counted(PlantedDataModule):
    """Kept on disk, and counts how often it is built."""

    builds = 0

    def cache_key(self) -> dict[str, object]:
        return {"documents": len(self.x), "total": int(self.x.sum())}

    def build(self) -> BowCorpus:
        self.builds += 1
        return super().build()


def documents(loader: DataLoader) -> np.ndarray:  # type: ignore[type-arg]
    return np.concatenate([dense(batch, batch.counts).numpy() for batch in loader])


def test_a_corpus_is_built_once_and_kept(tmp_path) -> None:  # type: ignore[no-untyped-def]
    first, second = (Counted(cache_dir=tmp_path) for _ in range(2))
    assert first.vocab == second.vocab
    assert first.vocab_size == len(first.vocab)
    assert (first.builds, second.builds) == (1, 0)
    assert (documents(first.predict_dataloader()) == documents(second.predict_dataloader())).all()
    assert isinstance(first.corpus.counts, np.memmap)


def test_other_settings_are_another_corpus(tmp_path) -> None:  # type: ignore[no-untyped-def]
    first, second = Counted(cache_dir=tmp_path), Counted(planted_counts(seed=1), cache_dir=tmp_path)
    assert (documents(first.predict_dataloader()) == first.x).all()
    assert (documents(second.predict_dataloader()) == second.x).all()
    assert (first.builds, second.builds) == (1, 1)


@pytest.mark.parametrize("name", ["counts.npy", "meta.json"])
def test_a_damaged_corpus_is_built_again(tmp_path, name: str) -> None:  # type: ignore[no-untyped-def]
    assert len(Counted(cache_dir=tmp_path).corpus)
    (damaged,) = tmp_path.rglob(name)
    damaged.write_bytes(b"damaged")
    again = Counted(cache_dir=tmp_path)
    assert (documents(again.predict_dataloader()) == again.x).all()
    assert again.builds == 1


def test_a_cache_that_cannot_be_written_is_named(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cache_dir.*file"):
        Counted(cache_dir=tmp_path / "file").corpus  # noqa: B018


def test_paths_may_be_strings_and_files_paths(tmp_path: Path, paper_dir: Path) -> None:
    np.save(vectors := tmp_path / "x.npy", np.ones((90, 3), np.float32))
    (tmp_path / "a.txt").write_text("cats dogs\n" * 9)
    options = {"cache_dir": str(tmp_path / "cache"), "document_embeddings": str(vectors)}
    made = [NewsgroupsDataModule(str(paper_dir), **options), CountsDataModule(str(paper_dir), **options)]
    assert [data.corpus.vocab for data in made] == [VOCAB, VOCAB]
    assert made[0].document_embeddings_size == 3
    words, counts = tmp_path / "words.txt", tmp_path / "counts.npz"
    words.write_text("a\nb\n")
    sp.save_npz(counts, sp.csr_array(np.ones((4, 2))))
    (tmp_path / "documents.csv").write_text("document\n" + "".join(f"{row}\n" for row in range(4)))
    named = {"vocab": str(words), "documents": str(tmp_path / "documents.csv"), "cache_dir": str(tmp_path / "cache")}
    assert CountsDataModule(str(counts), **named).corpus.vocab == ["a", "b"]
    other = {"val_path": str(counts), "test_path": str(counts), "vocab": str(words), "cache_dir": str(tmp_path)}
    assert len(CountsDataModule(str(counts), **other).corpus) == 12
    for files in (tmp_path / "a.txt", [tmp_path / "a.txt"]):
        texts = TextDataModule(files, min_df=1, max_df=1.0, cache_dir=str(tmp_path / "cache"))
        assert texts.corpus.vocab == ["cats", "dogs"]
    (tmp_path / "seeds.yaml").write_text("some: [a00]")
    model = ETM(48, 4, embeddings=str(vectors), seed_topics=str(tmp_path / "seeds.yaml"))
    assert (model.embeddings, model.seed_topics) == (vectors, {"some": ["a00"]})


def test_without_a_key_nothing_is_kept(tmp_path) -> None:  # type: ignore[no-untyped-def]
    assert len(PlantedDataModule(cache_dir=tmp_path).corpus)
    assert not any(tmp_path.glob("corpora"))


@pytest.mark.parametrize(
    ("x", "splits"),
    [
        (planted_counts(), ["test"] * 90),
        (np.zeros((3, 2), np.int64), ["train"] * 3),
        (np.array([[0, 0], [1, 2]]), ["train", "val"]),
        (np.zeros((0, 2), np.int64), []),
    ],
)
def test_nothing_to_train_on_is_refused(x, splits: list[str]) -> None:  # type: ignore[no-untyped-def]
    module = PlantedDataModule(x)
    module.splits = splits
    with pytest.raises(UserError, match="no training document left"):
        module.vocab_size  # noqa: B018


def orders(size: int, epochs: int, **kwargs: int | None) -> list[list[int]]:
    """Which documents each epoch of training takes, in order."""
    module = PlantedDataModule(np.ones((size, 1), np.int64), ["train"] * size, **kwargs)
    sampler = module.train_dataloader().sampler
    drawn = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        steps = list(sampler)
        assert len(steps) == len(sampler)  # type: ignore[arg-type]
        drawn.append([*chain(*steps)])
    return drawn


@given(st.integers(1, 30), st.integers(1, 40), st.none() | st.integers(1, 5), st.integers(0, 3))
def test_epochs_go_through_the_documents_again_and_again(
    size: int, batch_size: int, steps: int | None, seed: int
) -> None:
    drawn = orders(size, 4, batch_size=batch_size, steps_per_epoch=steps, seed=seed)
    assert {len(epoch) for epoch in drawn} == {size if steps is None else steps * min(batch_size, size)}
    together = [document for epoch in drawn for document in epoch]
    rounds = [together[start : start + size] for start in range(0, len(together), size)]
    assert all(sorted(of_round) == list(range(size)) for of_round in rounds[:-1])
    assert len(set(rounds[-1])) == len(rounds[-1])


class Processes:
    """What a data module asks its trainer."""

    def __init__(self, number: int, process: int) -> None:
        self.world_size, self.global_rank, self.overfit_batches = number, process, 0
        self.strategy = SimpleNamespace(root_device=torch.device("cpu"))


LOADERS = ("train", "val", "test", "predict")


def shares_of(loader: str, size: int, number: int, batch_size: int, steps: int | None) -> list[list[list[int]]]:
    """Documents of each step of two epochs that each of some processes gets."""
    splits = [loader if loader in SPLITS else "train"] * size
    module = PlantedDataModule(np.ones((size, 1), np.int64), splits, batch_size=batch_size, steps_per_epoch=steps)
    dealt = []
    for process in range(number):
        module.trainer = Processes(number, process)  # type: ignore[assignment]
        sampler = getattr(module, f"{loader}_dataloader")().sampler
        assert isinstance(sampler, DistributedSampler), "Lightning deals it out again"
        taken = []
        for epoch in range(2):
            sampler.set_epoch(epoch)
            taken += list(sampler)
        dealt.append(taken)
    return dealt


@given(
    st.sampled_from(LOADERS), st.integers(1, 30), st.integers(1, 7), st.integers(1, 10), st.none() | st.integers(1, 5)
)
def test_a_step_means_the_same_on_any_number_of_processes(
    loader: str, size: int, number: int, batch_size: int, steps: int | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BowDataModule, "corpus", property(lambda data: data.build()))  # one split alone
        (alone,) = shares_of(loader, size, 1, batch_size, steps)
        together = shares_of(loader, size, number, batch_size, steps)
    assert [[*chain(*step)] for step in zip(*together, strict=True)] == alone  # none lost, none twice, and in order
    lengths = np.array([[len(share) for share in taken] for taken in together])
    assert (lengths.max(axis=0) - lengths.min(axis=0) <= 1).all()


def test_what_is_overfitted_is_the_same_in_every_epoch() -> None:
    module = PlantedDataModule(batch_size=7)
    module.trainer = Processes(1, 0)  # type: ignore[assignment]
    module.trainer.overfit_batches = 2  # type: ignore[union-attr]
    sampler = module.train_dataloader().sampler
    assert isinstance(sampler, SequentialSampler), "Lightning puts one of single documents in its place"
    for epoch in range(2):
        sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        assert [*chain(*sampler)] == list(range(60))


@given(st.none() | st.integers(1, 5), st.integers(0, 3))
def test_the_order_is_a_matter_of_seed_and_epoch(steps: int | None, seed: int) -> None:
    drawn = orders(30, 3, batch_size=10, steps_per_epoch=steps, seed=seed)
    assert orders(30, 3, batch_size=10, steps_per_epoch=steps, seed=seed) == drawn
    assert orders(30, 3, batch_size=10, steps_per_epoch=steps, seed=seed + 1) != drawn
    assert drawn[0] != drawn[1] != drawn[2]


@pytest.mark.parametrize("batch_size", [1, 7, 15, 1000])
def test_only_training_shuffles_and_nothing_is_left_out(batch_size: int) -> None:
    module = PlantedDataModule(batch_size=batch_size)
    of = {split: module.x[[own == split for own in PLANTED_SPLITS]] for split in SPLITS}
    assert (documents(module.val_dataloader()) == of["val"]).all()
    assert (documents(module.test_dataloader()) == of["test"]).all()
    assert (documents(module.predict_dataloader()) == module.x).all()
    train = module.train_dataloader()
    epochs = []
    for epoch in range(2):
        train.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        epochs.append(documents(train))
        assert sorted(epochs[epoch].tolist()) == sorted(of["train"].tolist())
        assert (epochs[epoch] != of["train"]).any()
    assert (epochs[0] != epochs[1]).any()


def test_making_loaders_draws_nothing_from_the_global_generator() -> None:
    module, before = PlantedDataModule(), torch.get_rng_state()
    for loader in (module.train_dataloader(), module.val_dataloader(), module.predict_dataloader()):
        documents(loader)
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_slice_the_same_batches() -> None:
    alone, helped = (PlantedDataModule(batch_size=40, num_workers=workers) for workers in (0, 2))
    for loader in ("train_dataloader", "val_dataloader"):
        assert (documents(getattr(alone, loader)()) == documents(getattr(helped, loader)())).all()


class Dense(LightningDataModule):
    """The training documents of the planted corpus as a user's own module may yield them."""

    def train_dataloader(self) -> DataLoader:  # type: ignore[type-arg]
        x = torch.tensor(PlantedDataModule().x[[own == "train" for own in PLANTED_SPLITS]])
        return DataLoader(TensorDataset(x.float(), torch.zeros(len(x))), batch_size=7)


def test_training_documents_are_found_in_any_data_module() -> None:
    ours = PlantedDataModule()
    vocab_size = ours.vocab_size
    batches = []
    for datamodule in (ours, Dense()):
        dataset = training_set(datamodule, vocab_size)
        assert dataset is not None
        batches.append(dataset[range(len(dataset))])
    assert torch.equal(*(dense(batch, batch.counts) for batch in batches))
    assert training_set(None, vocab_size) is None
