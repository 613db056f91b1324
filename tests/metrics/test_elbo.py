import pytest
import torch

from etm_app.metrics.elbo import Elbo


def test_means_over_documents_however_batched() -> None:
    metric = Elbo()
    metric.update(torch.tensor(30.0), torch.tensor(6.0), 3)
    metric.update(torch.tensor(50.0), torch.tensor(2.0), 1)
    metric.update(torch.tensor(0.0), torch.tensor(0.0), 0)  # empty documents only
    values = {name: value.item() for name, value in metric.compute().items()}
    assert values == pytest.approx({"elbo": -22.0, "reconstruction_loss": 20.0, "kl": 2.0})


def test_nothing_without_documents() -> None:
    assert Elbo().compute() == {}
