import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from etm_app.model import ETM
from etm_app.nn.topics import Topics


def topics(vocab_size: int, num_topics: int, rho_size: int, train_embeddings: bool = True) -> torch.nn.Module:
    torch.manual_seed(0)
    sizes = {"num_topics": num_topics, "rho_size": rho_size, "t_hidden_size": 2}
    return ETM(vocab_size, train_embeddings=train_embeddings, **sizes).topics


@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 5), st.floats(0, 1e4))
def test_every_topic_is_a_distribution_over_words(v: int, k: int, rho_size: int, scale: float) -> None:
    module = topics(v, k, rho_size)
    with torch.no_grad():
        module.alpha.mul_(scale)
    beta = module()
    assert beta.shape == (v, k)
    assert (beta >= 0).all()
    torch.testing.assert_close(beta.sum(dim=0), torch.ones(k))


def test_beta_is_the_softmax_of_inner_products() -> None:
    module = topics(7, 3, 4)
    logits = module.rho.double() @ module.alpha.double().t()
    torch.testing.assert_close(module().double(), logits.exp() / logits.exp().sum(dim=0), rtol=1e-5, atol=0)


def test_autocast_leaves_beta_in_float32() -> None:
    module = topics(7, 3, 4)
    expected = module()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(module(), expected)


@pytest.mark.parametrize("train_embeddings", [True, False])
def test_frozen_embeddings_get_no_gradient_but_are_saved(train_embeddings: bool) -> None:
    module = topics(7, 3, 4, train_embeddings)
    module()[0].sum().backward()
    assert (module.rho.grad is not None) == train_embeddings
    assert module.alpha.grad.abs().sum() > 0
    assert {"rho", "alpha"} <= set(module.state_dict())


def test_embeddings_start_as_a_layer_of_torch() -> None:
    """Uniform within the root of the number of their dimensions, on both sides."""
    module = Topics(300, 200, 25, train_embeddings=True)
    assert module.rho.shape == (300, 25)
    assert module.alpha.shape == (200, 25)
    for embeddings in (module.rho, module.alpha):
        assert embeddings.abs().max() <= 0.2
        assert embeddings.max() > 0.19
        assert embeddings.min() < -0.19


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_the_softmax_has_no_less_than_float32(dtype: torch.dtype) -> None:
    module = Topics(7, 3, 4, train_embeddings=True).to(dtype)
    beta = module()
    assert beta.dtype == torch.promote_types(dtype, torch.float32)
    assert beta.is_contiguous()
    torch.testing.assert_close(beta.sum(0), torch.ones(3, dtype=beta.dtype))


def test_embeddings_can_be_placed() -> None:
    module, rho, alpha = Topics(7, 3, 4, train_embeddings=True), torch.randn(7, 4), torch.randn(3, 4)
    module.place(rho, alpha)
    assert torch.equal(module.rho, rho)
    assert torch.equal(module.alpha, alpha)
    assert module.rho.requires_grad
