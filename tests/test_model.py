"""The whole model, run by Lightning's Trainer, against dense mathematics."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from etm_app.checkpoint.old import OLD_NAMES
from etm_app.errors import UserError
from etm_app.model import ETM
from etm_app.topic_model import Inference
from tests import reference
from tests.planted import SPLITS, VOCAB, PlantedDataModule, planted_counts
from tests.reference import assert_close, batch_of, dense

inferences = pytest.mark.parametrize("inference", get_args(Inference))


def etm(vocab_size: int = len(VOCAB), **kwargs: Any) -> ETM:
    torch.manual_seed(0)
    return ETM(vocab_size, **{"num_topics": 4, "t_hidden_size": 8, "rho_size": 6, "enc_drop": 0.0, **kwargs})


def trainer(**kwargs: Any) -> Trainer:
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    return Trainer(**{"max_epochs": 2, "accelerator": "cpu", "num_sanity_val_steps": 0, **off, **kwargs})


def validate(model: ETM, datamodule: PlantedDataModule) -> dict[str, float]:
    (metrics,) = trainer().validate(model, datamodule, verbose=False)
    return dict(metrics)


class Gradients(Callback):
    """Keeps the gradients and the losses of every step."""

    def __init__(self) -> None:
        self.gradients: list[dict[str, Tensor]] = []
        self.losses: list[Tensor] = []

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        self.losses.append(loss.detach())

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        named = pl_module.named_parameters()
        self.gradients.append({name: p.grad.clone() for name, p in named if p.grad is not None})


def fit(model: ETM, datamodule: PlantedDataModule, **kwargs: Any) -> Gradients:
    recorded = Gradients()
    torch.manual_seed(0)
    trainer(callbacks=[recorded], **kwargs).fit(model, datamodule)
    return recorded


# Against the dense reference


DENSE = {
    "encoder.matmul": reference.matmul,
    "encoder.log_likelihood": reference.log_likelihood,
    "e_step.matmul": reference.matmul,
    "e_step.sum_words": reference.matmul,
    "e_step.sum_documents": reference.sum_documents,
    "e_step.dots": reference.dots,
}


@inferences
def test_training_steps_are_the_dense_ones(inference: Inference, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a training step consists of: in float64, with sparse sums or dense ones, it is the same."""
    model = etm(inference=inference).double()
    datamodule = PlantedDataModule(batch_size=16)
    actual = fit(deepcopy(model), datamodule)
    for name, dense_one in DENSE.items():
        monkeypatch.setattr(f"etm_app.nn.{name}", dense_one)
    expected = fit(deepcopy(model), datamodule)
    assert len(expected.losses) == 2 * 4
    for ours, theirs in zip(actual.losses, expected.losses, strict=True):
        assert_close(ours, theirs, 1e-9)
    for ours, theirs in zip(actual.gradients, expected.gradients, strict=True):
        assert len(theirs) == (8 if inference == "encoder" else 3)
        assert ours.keys() == theirs.keys()
        assert_close(*(torch.cat([gradient.flatten() for gradient in of.values()]) for of in (ours, theirs)), 1e-9)


@inferences
@pytest.mark.parametrize("batch_size", [1, 4, 1000])
def test_evaluation_is_the_definition(batch_size: int, inference: Inference) -> None:
    """Validation metrics, from theta, beta and the halves alone."""
    datamodule = PlantedDataModule(batch_size=batch_size)
    model = etm(inference=inference)
    fit(model, datamodule)
    metrics = validate(model, datamodule)

    (batch,) = PlantedDataModule().val_dataloader()
    x, first = dense(batch, batch.counts), dense(batch, batch.first_half)
    completed = (x - first) * (model.theta(first) @ model.beta).double().log()
    tokens, scored = (x - first).sum(1), first.sum(1) > 0
    loss = -completed.sum(1)[scored] / tokens[scored]
    there = x.sum(1) > 0
    assert there.sum() < len(x)
    assert scored.sum() < there.sum()
    assert metrics["val_perplexity"] == pytest.approx(
        (-completed[scored].sum() / tokens[scored].sum()).exp().item(), rel=1e-5
    )
    assert metrics["val_perplexity_doc_mean"] == pytest.approx(loss.mean().exp().item(), rel=1e-5)
    if model.encoder is not None:
        mu, logvar = model.encoder.eval()(batch, batch.counts)
        noise = torch.randn(1_021, 4, generator=torch.Generator().manual_seed(0))
        number = (x * torch.arange(x.shape[1])).sum(1).long()
        pairs = [(logvar / 2).exp() * noise[(number + pair) % 1_021] for pair in (0, 1)]
        z = torch.stack([mu + sign * pair for pair in pairs for sign in (1, -1)])
        log_likelihood = (x * (z.softmax(2) @ model.beta).double().log()).sum().item() / 4
        kl = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)).sum().item()
    else:
        assert model.e_step is not None
        prior = model.e_step.log_prior().exp().double().detach().numpy()
        inferred = reference.infer(x.long().numpy(), model.beta.double().numpy(), prior, model.e_step.several)
        log_likelihood, kl = inferred.log_likelihood, inferred.kl.sum()
    assert metrics["val_reconstruction_loss"] == pytest.approx(-log_likelihood / there.sum().item(), rel=1e-5)
    assert metrics["val_kl"] == pytest.approx(kl / there.sum().item(), rel=1e-4)
    assert metrics["val_elbo"] == pytest.approx(-metrics["val_reconstruction_loss"] - metrics["val_kl"], rel=1e-5)


@inferences
def test_training_beats_the_frequencies_of_words(inference: Inference) -> None:
    datamodule = PlantedDataModule(batch_size=16)
    x, of = datamodule.x, np.array(SPLITS)
    frequency = x[of == "train"].sum(axis=0) + 0.1
    val = x[of == "val"]
    unigram = np.exp(-(val * np.log(frequency / frequency.sum())).sum() / val.sum())
    model = etm(inference=inference, optimizer=lambda params: torch.optim.Adam(params, lr=0.02))
    fit(model, datamodule, max_epochs=40)
    assert validate(model, datamodule)["val_perplexity"] < 0.85 * unigram


# Sizes


class Largest(TorchDispatchMode):
    """Looks at every tensor that any operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.numel = 0
        self.shapes: set[tuple[int, ...]] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                is_dense = tensor.layout == torch.strided
                self.numel = max(self.numel, tensor.numel() if is_dense else tensor.values().numel())
                self.shapes |= {tuple(tensor.shape)} if is_dense else set()
        return out


B, V = 64, 5000


@contextmanager
def no_tensor_of_batch_by_vocabulary() -> Iterator[None]:
    with Largest() as largest:
        yield
    assert largest.numel > 0
    assert largest.numel < B * V
    assert not {(B, V), (V, B)} & largest.shapes


@pytest.fixture
def wide() -> PlantedDataModule:
    """Two batches of B documents of a few words each out of V, in each split."""
    x = np.random.default_rng(0).poisson(0.01, size=(6 * B, V))
    return PlantedDataModule(x, ["train", "val", "test"] * (2 * B), batch_size=B)


@inferences
def test_no_tensor_has_the_size_of_batch_times_vocabulary(wide: PlantedDataModule, inference: Inference) -> None:
    model = etm(wide.vocab_size, t_hidden_size=8, num_topics=4, rho_size=4, inference=inference)
    batches = list(wide.train_dataloader())
    assert [len(batch) for batch in batches] == [B, B]
    with no_tensor_of_batch_by_vocabulary():
        fit(model, wide, max_epochs=1)
        trainer().test(model, wide, verbose=False)
        trainer().predict(model, wide, return_predictions=False)


@pytest.mark.parametrize("name", DENSE)
def test_a_dense_product_would_be_noticed(wide: PlantedDataModule, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(f"etm_app.nn.{name}", DENSE[name])
    inference = "encoder" if "encoder" in name else "mixed_membership"
    model = etm(wide.vocab_size, t_hidden_size=8, num_topics=4, rho_size=4, inference=inference).double()
    with pytest.raises(AssertionError), no_tensor_of_batch_by_vocabulary():
        fit(model, wide, max_epochs=1)


@pytest.mark.parametrize("inference", ["mixture", "mixed_membership"])
def test_no_tensor_has_the_size_of_non_zeros_times_topics(inference: Inference) -> None:
    x = np.random.default_rng(0).poisson(2.0, size=(300, 40))
    model = etm(40, num_topics=30, rho_size=2, inference=inference)
    with Largest() as largest:
        fit(model, PlantedDataModule(x, ["train", "val", "test"] * 100, batch_size=100), max_epochs=1)
    non_zeros = np.count_nonzero(x[:100])
    assert 100 * 30 <= largest.numel < 5 * non_zeros


# Odd documents and extreme parameters

ODD = np.zeros((5, 6), np.int64)
ODD[0, :5], ODD[2, 2], ODD[3] = 20_000, 1, 1  # 100,000 words, none, one, six, none


odd_documents = pytest.mark.parametrize(
    "x", [ODD, ODD[:1], ODD[1:2], ODD[2:3]], ids=["all", "100,000 words", "no word", "one word"]
)


@inferences
@odd_documents
@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])
def test_topics_that_exclude_a_word_break_no_loss(x: NDArray[np.int64], scale: float, inference: Inference) -> None:
    """With embeddings this large, topics give most words a probability of 0 in float32."""
    model = etm(6, inference=inference).train()
    with torch.no_grad():
        model.topics.alpha.mul_(scale)
        model.topics.rho.mul_(scale)
    assert bool((model.beta == 0).any()) == (scale > 1)
    loss = model.training_step(batch_of(x), 0)
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@inferences
@odd_documents
@pytest.mark.parametrize("batch_size", [1, 1000])
def test_odd_documents_are_trained_on_and_evaluated(
    x: NDArray[np.int64], batch_size: int, inference: Inference
) -> None:
    splits = [*["train"] * len(ODD), *["train", "val"] * len(x)]
    datamodule = PlantedDataModule(np.concatenate([ODD, x.repeat(2, axis=0)]), splits, batch_size=batch_size)
    model = etm(6, inference=inference)
    recorded = fit(model, datamodule)
    assert all(loss.isfinite() for loss in recorded.losses)
    assert all(gradient.isfinite().all() for step in recorded.gradients for gradient in step.values())
    assert model.theta(x).isfinite().all()
    metrics = validate(model, datamodule)
    finite = {name for name, value in metrics.items() if np.isfinite(value)}
    # Without two tokens there is nothing to complete, and without any there is no document.
    assert finite == {name for name in metrics if x.sum() > 1 or "perplexity" not in name}
    assert ("val_elbo" in finite) == x.any()


@inferences
@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_other_precisions_find_about_the_same(precision: str, inference: Inference) -> None:
    perplexities = []
    for kwargs in ({}, {"precision": precision}):
        model, datamodule = etm(inference=inference), PlantedDataModule(batch_size=30)
        recorded = fit(model, datamodule, **kwargs)
        assert all(loss.isfinite() for loss in recorded.losses)
        (metrics,) = trainer(**kwargs).validate(model, datamodule, verbose=False)
        perplexities.append(metrics["val_perplexity"])
    assert perplexities[1] == pytest.approx(perplexities[0], rel=0.1)


# What a model can be asked


@inferences
def test_theta_is_on_the_simplex_and_a_matter_of_the_document_alone(inference: Inference) -> None:
    model, x = etm(inference=inference), planted_counts(20)
    theta = model.theta(torch.tensor(x))
    torch.testing.assert_close(theta.sum(dim=1), torch.ones(len(x)))
    assert not theta.requires_grad
    empty = theta[x.sum(axis=1) == 0]  # the prior's mean, before anything is learned
    torch.testing.assert_close(empty, torch.full_like(empty, 1 / 4))
    order = np.random.default_rng(0).permutation(len(x))
    torch.testing.assert_close(model.theta(x[order]), theta[torch.tensor(order)])
    torch.testing.assert_close(model.theta(batch_of(x[3:4])), theta[3:4])
    assert theta.unique(dim=0).shape[0] > 10


@inferences
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_theta_of_an_empty_document_is_known_in_other_precisions(dtype: torch.dtype, inference: Inference) -> None:
    theta = etm(inference=inference).to(dtype).theta(planted_counts(5))
    torch.testing.assert_close(theta[4].double(), torch.full((4,), 0.25).double(), rtol=1e-3, atol=0)


@pytest.mark.parametrize("inference", ["mixture", "mixed_membership"])
def test_theta_of_documents_without_words_is_the_prior_that_was_learned(inference: Inference) -> None:
    model, x = etm(inference=inference), planted_counts(5)
    assert model.e_step is not None
    with torch.no_grad():
        model.e_step.size.copy_(torch.tensor([1.0, 0.0, -1.0, 0.5]))
    prior = torch.tensor([1.0, 0.0, -1.0, 0.5]).softmax(0)
    torch.testing.assert_close(model.theta(x)[4], prior)
    expected = reference.infer(x, model.beta.double().numpy(), prior.double().numpy(), model.e_step.several).theta
    np.testing.assert_allclose(model.theta(x), expected, atol=1e-5)


@inferences
def test_metrics_add_in_double_whatever_a_checkpoint_changes(inference: Inference) -> None:
    """Parts are exchanged where a checkpoint has others, or the choice is made; sums over documents stay exact."""
    model = etm().bfloat16()
    model.infer_by(inference)
    assert {of.dtype for part in (model.elbo, model.perplexity) for of in part.metric_state.values()} == {torch.float64}
    assert {of.dtype for of in model.parameters()} == {torch.bfloat16}


@inferences
@pytest.mark.parametrize("train", [True, False])
def test_asking_for_theta_changes_nothing(train: bool, inference: Inference) -> None:
    model, x = etm(enc_drop=0.5, inference=inference).train(train), planted_counts(20)
    before = deepcopy(model.state_dict())
    assert torch.equal(model.theta(x), model.theta(x))
    assert model.training == train
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("x", [np.ones((2, 3)), np.full((1, len(VOCAB)), 0.5), -np.ones((1, len(VOCAB)))])
def test_theta_wants_counts(x: NDArray[np.float64]) -> None:
    with pytest.raises(UserError):
        etm().theta(x)


def test_topics_have_the_most_probable_words_first() -> None:
    model = etm(rho_size=20)
    model.vocab = list(VOCAB)
    beta = model.beta
    assert beta.shape == (4, len(VOCAB))
    torch.testing.assert_close(beta.sum(dim=1), torch.ones(4))
    assert (model.alpha.shape, model.rho.shape) == ((4, 20), (len(VOCAB), 20))
    torch.testing.assert_close(beta, (model.alpha @ model.rho.t()).softmax(-1))
    order = np.argsort(-beta.numpy(), axis=1)
    assert (model.top_word_indices(5).numpy() == order[:, :5]).all()
    assert model.top_words(5) == [[VOCAB[index] for index in row[:5]] for row in order]
    assert all(sorted(row) == VOCAB for row in model.top_words(1000))


@settings(max_examples=20)
@given(st.integers(1, 4), st.integers(1, 9), st.floats(0, 1), st.integers(0, 99))
def test_relevant_words_are_those_of_the_formula(num_topics: int, vocab_size: int, weight: float, seed: int) -> None:
    """And a word that no training document has comes before none that is as probable, however rare that one is."""
    model = etm(vocab_size, num_topics=num_topics, warm_start=False, relevance=weight)
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.7, size=(30, vocab_size))
    trainer(max_epochs=1).fit(model, PlantedDataModule(counts, ["train"] * 30))
    tokens = counts.sum(axis=0)
    share = np.where(tokens, (tokens + 1) / (tokens.sum() + vocab_size), 1)
    np.testing.assert_allclose(model.log_frequency.numpy(), np.log(share), atol=1e-5)
    beta = model.beta.double().numpy()
    expected = weight * np.log(beta) + (1 - weight) * np.log(beta / share)
    np.testing.assert_allclose(model.word_relevance().numpy(), expected, atol=1e-5)
    ranked = model.top_word_indices(vocab_size, weight).numpy()
    assert (np.sort(ranked) == np.arange(vocab_size)).all()
    assert (np.diff(np.take_along_axis(expected, ranked, 1)) < 1e-5).all()
    assert model.top_words(3) == [[f"w{word:04}" for word in row] for row in ranked[:, :3]]
    for row, own in zip(ranked.tolist(), beta, strict=True):
        for place, word in enumerate(row):
            assert tokens[word] or all(own[later] <= own[word] for later in row[place:])


@pytest.mark.parametrize("relevance", [1.0, 0.5])
def test_the_first_words_are_the_same_however_many_are_asked_for(relevance: float) -> None:
    """Words of which the documents tell no difference are level to the last bit; they come as in the vocabulary."""
    model = etm(300, num_topics=2)
    with torch.no_grad():
        model.topics.rho.copy_(torch.randn(3, 6)[torch.arange(300) % 3])
    first = model.top_word_indices(300, relevance)
    for n in range(1, 300, 7):
        assert torch.equal(model.top_word_indices(n, relevance), first[:, :n])
    level = first.reshape(2, 3, 100)
    assert (level.diff(dim=-1) == 3).all()


def test_without_frequencies_words_are_ranked_by_probability() -> None:
    model = etm(relevance=0.2)
    assert torch.equal(model.top_word_indices(20, 0.2), model.top_word_indices(20))


def test_nearest_words_are_nearest_by_cosine() -> None:
    model = etm(4, rho_size=2)
    model.vocab = ["north", "south", "east", "far north-east"]
    with torch.no_grad():
        model.topics.rho.copy_(torch.tensor([[0.0, 2.0], [0.0, -1.0], [0.5, 0.0], [70.0, 70.0]]))
    words, cosines = zip(*model.nearest_words("north"), strict=True)
    assert words == ("far north-east", "east", "south")
    assert cosines == pytest.approx([0.5**0.5, 0.0, -1.0])
    assert model.nearest_words("north", 1) == [("far north-east", pytest.approx(0.5**0.5))]
    with pytest.raises(UserError, match="west"):
        model.nearest_words("west")


def test_a_new_model_knows_no_words() -> None:
    with pytest.raises(UserError, match="no vocabulary"):
        etm().top_words()


@pytest.mark.parametrize("name", ["vocab_size", "num_topics", "t_hidden_size", "rho_size"])
@pytest.mark.parametrize("size", [0, -1])
def test_sizes_are_positive(name: str, size: int) -> None:
    with pytest.raises(UserError, match=f"{name}: {size}"):
        ETM(**{"vocab_size": 3, name: size})


@pytest.mark.parametrize("train_embeddings", [True, False])
def test_embeddings_are_learned_if_wanted(train_embeddings: bool) -> None:
    rhos: list[Tensor] = []

    class Watch(Callback):
        def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
            assert isinstance(pl_module, ETM)
            rhos.append(pl_module.rho.clone())

    model = etm(train_embeddings=train_embeddings)
    trainer(callbacks=[Watch()]).fit(model, PlantedDataModule(batch_size=16))
    assert torch.equal(rhos[0], model.rho) != train_embeddings


def test_a_warm_start_begins_with_other_topics_than_a_cold_one() -> None:
    starts = []
    for warm_start in (True, True, False):
        model = etm(warm_start=warm_start, optimizer=lambda params: torch.optim.SGD(params, lr=0.0))
        fit(model, PlantedDataModule())
        starts.append(model.beta)
    warm, again, cold = starts
    assert torch.equal(warm, again)
    # Of the twelve words of a planted topic, the warm topics find most at once.
    pure = [[max(np.bincount(row // 12)) / 12 for row in beta.topk(12).indices.numpy()] for beta in (warm, cold)]
    assert np.mean(pure[0]) > max(0.6, np.mean(pure[1]))


@pytest.mark.parametrize("warm_start", [True, False])
@pytest.mark.parametrize("how", ["the same object", "from its checkpoint", "resumed"])
def test_what_was_learned_is_not_placed_again(
    how: str, warm_start: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, run = etm(warm_start=warm_start), trainer()
    run.fit(model, PlantedDataModule())
    run.save_checkpoint(tmp_path / "model.ckpt")
    learned = deepcopy(model.state_dict())
    monkeypatch.delattr("etm_app.start.warm_start")  # nor computed for nothing
    if how != "the same object":
        model = ETM.load_from_checkpoint(tmp_path / "model.ckpt") if how == "from its checkpoint" else etm()
    model.warm_start = True
    model.embeddings = tmp_path / "embeddings that are needed no longer.txt"
    if how == "resumed":  # after the last epoch
        trainer().fit(model, PlantedDataModule(), ckpt_path=tmp_path / "model.ckpt")
    else:
        model.optimizer = lambda params: torch.optim.SGD(params, lr=0.0)
        trainer(max_epochs=1).fit(model, PlantedDataModule())
    assert model.anchor.placed == warm_start
    for name, value in learned.items():
        if name != "memory.counts":  # of documents, which it is shown again
            assert torch.equal(model.state_dict()[name], value), name


def test_a_checkpoint_of_a_model_that_was_not_trained_is_placed(tmp_path: Path) -> None:
    run = trainer()
    run.strategy.connect(etm())
    run.save_checkpoint(tmp_path / "model.ckpt")
    model = ETM.load_from_checkpoint(tmp_path / "model.ckpt")
    trainer(max_epochs=1).fit(model, PlantedDataModule())
    assert model.anchor.placed


def test_the_frequencies_are_those_of_all_documents_also_of_fits_before(tmp_path: Path) -> None:
    run, first, others = trainer(max_epochs=1), PlantedDataModule(), PlantedDataModule(planted_counts(seed=3))
    run.fit(etm(), first)
    run.save_checkpoint(tmp_path / "model.ckpt")
    resumed, of_both = etm(), etm()
    on = trainer(max_epochs=1)
    on.fit(resumed, others, ckpt_path=tmp_path / "model.ckpt")
    counts = [data.training_set().token_counts() for data in (first, others)]
    of_both.take_frequencies(counts[0] + counts[1])
    torch.testing.assert_close(resumed.log_frequency, of_both.log_frequency)
    assert resumed.seen.tolist() == [120, counts[0].sum() + counts[1].sum()]
    on.save_checkpoint(tmp_path / "both.ckpt")  # and is not counted again where its training goes on
    again = etm()
    trainer(max_epochs=2).fit(again, others, ckpt_path=tmp_path / "both.ckpt")
    assert torch.equal(again.log_frequency, resumed.log_frequency)
    assert torch.equal(again.seen, resumed.seen)


NOT_LEARNED = {"word_dropout": 0.0, "normalize_posterior": False, "e_step": False, "prior": "gaussian"}


def as_before(content: dict[str, Any], **given: Any) -> dict[str, Any]:
    """What the version before wrote of such a model."""
    names = {new: old for old, new in OLD_NAMES.items()}
    state = {names.get(name, name): value for name, value in content["state_dict"].items() if value.numel()}
    del state["placed"], state["log_frequency"], state["seen"]
    state |= {"prior_mean": torch.zeros(4), "prior_log_scale": torch.zeros(())}
    hyper_parameters = {**content["hyper_parameters"], **NOT_LEARNED, "learn_prior": False, **given}
    if hyper_parameters["inference"] == "encoder":
        del hyper_parameters["inference"]
    return {**content, "state_dict": state, "hyper_parameters": hyper_parameters}


@pytest.mark.parametrize("inference", ["encoder", "mixture"])
@pytest.mark.parametrize("warm_start", [True, False])
def test_a_checkpoint_of_the_version_before_loads(warm_start: bool, inference: Inference, tmp_path: Path) -> None:
    model, run, path = etm(warm_start=warm_start, inference=inference), trainer(max_epochs=1), tmp_path / "model.ckpt"
    run.fit(model, PlantedDataModule())
    run.save_checkpoint(path)
    content = torch.load(path, weights_only=True)
    before = as_before(content)
    assert ({"topics.rho_anchor", "topics.word_weight"} <= set(before["state_dict"])) == warm_start
    torch.save(before, path)
    x = planted_counts(20, seed=5)
    loaded = ETM.load_from_checkpoint(path)
    assert loaded.inference == inference
    assert torch.equal(loaded.theta(x), model.theta(x))
    # The anchor has them of a sample, which is all documents here, and counts each word once more.
    assert loaded.top_words() == model.top_words(relevance=None if warm_start else 1)
    resumed = {}
    for name, parent in (("old", path), ("new", tmp_path / "new.ckpt")):
        torch.save(before if name == "old" else content, parent)
        resumed[name] = etm(warm_start=warm_start)
        trainer(max_epochs=3).fit(resumed[name], PlantedDataModule(), ckpt_path=parent)
    for name, value in resumed["new"].state_dict().items():
        assert torch.equal(resumed["old"].state_dict()[name], value), name


@pytest.mark.parametrize("had", [{"learn_prior": True}, {"prior": "dirichlet"}], ids=str)
def test_of_an_encoder_that_is_gone_the_topics_stay(had: dict[str, Any], tmp_path: Path) -> None:
    model, run, path = etm(inference="encoder"), trainer(max_epochs=1), tmp_path / "model.ckpt"
    run.fit(model, PlantedDataModule())
    run.save_checkpoint(path)
    torch.save(as_before(torch.load(path, weights_only=True), **had), path)
    with pytest.warns(match="encoder is gone.*mixed_membership"):
        loaded = ETM.load_from_checkpoint(path)
    assert loaded.inference == "mixed_membership"
    assert torch.equal(loaded.beta, model.beta)
    x = planted_counts(20, seed=5)
    expected = reference.infer(x, model.beta.double().numpy(), np.full(4, 0.25), several=True).theta
    np.testing.assert_allclose(loaded.theta(x), expected, atol=1e-5)
    with pytest.warns(match="encoder is gone"), pytest.raises(UserError, match="optimizer_states"):
        trainer(max_epochs=3).fit(etm(), PlantedDataModule(), ckpt_path=path)


@inferences
def test_a_checkpoint_is_all_that_is_needed(tmp_path: Path, inference: Inference) -> None:
    model, datamodule = etm(theta_act="softplus", inference=inference), PlantedDataModule()
    run = trainer()
    run.fit(model, datamodule)
    path = tmp_path / "model.ckpt"
    run.save_checkpoint(path)
    content = torch.load(path, weights_only=True)
    assert content["vocab"] == VOCAB
    assert content["hyper_parameters"]["theta_act"] == "softplus"
    loaded = ETM.load_from_checkpoint(path)
    assert loaded.vocab == VOCAB
    assert loaded.top_words(10) == model.top_words(10)
    x = planted_counts(20, seed=5)
    assert torch.equal(loaded.theta(x), model.theta(x))
    assert validate(loaded, datamodule) == validate(model, datamodule)


@pytest.mark.parametrize("change", [lambda vocab: vocab[::-1], lambda vocab: [word + "s" for word in vocab]])
def test_another_vocabulary_of_the_same_size_is_refused(tmp_path: Path, change: Any) -> None:
    class Other(PlantedDataModule):
        @property
        def vocab(self) -> list[str]:
            return list(change(VOCAB))

    run = trainer(max_epochs=1)
    run.fit(etm(), PlantedDataModule())
    run.save_checkpoint(tmp_path / "model.ckpt")
    with pytest.raises(UserError, match="another vocabulary"):
        trainer().test(etm(), Other(), ckpt_path=tmp_path / "model.ckpt", verbose=False)
    model = ETM.load_from_checkpoint(tmp_path / "model.ckpt")
    with pytest.raises(UserError, match="another vocabulary"):
        trainer().fit(model, Other())
    assert model.vocab == VOCAB


def test_data_of_another_size_are_refused() -> None:
    with pytest.raises(UserError, match=f"{len(VOCAB)} words.*made for 7"):
        trainer().fit(etm(7), PlantedDataModule())


def test_the_planted_corpus_has_what_the_tests_need() -> None:
    x = planted_counts()
    for split in ("train", "val", "test"):
        lengths = x.sum(axis=1)[[own == split for own in SPLITS]]
        assert {0, 1} <= set(lengths.tolist())
        assert lengths.max() > 20
