"""configs/paper.yaml trains the paper's model, and nothing but that."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from etm_app.cli.main import main
from etm_app.data.batch import BowBatch
from etm_app.model import ETM
from tests import reference
from tests.paper_files import REAL

PAPER = Path(__file__).parents[1] / "configs" / "paper.yaml"


@pytest.mark.skipif(not REAL.exists(), reason=f"the paper's files are not in {REAL}")
def test_the_papers_settings_give_the_originals_numbers(tmp_path: Path) -> None:
    """The original's objective and settings after five epochs: perplexity 2122 by document, 2214 by token.

    Its topics are one topic then, with a diversity of .022.
    """
    cli = main([
        "fit", f"--config={PAPER}", f"--data.data_dir={REAL}", "--trainer.max_epochs=5",
        "--trainer.check_val_every_n_epoch=5", f"--trainer.default_root_dir={tmp_path}",
        f"--data.cache_dir={tmp_path}", "--trainer.enable_progress_bar=false",
    ])  # fmt: skip
    metrics = {name: float(value) for name, value in cli.trainer.callback_metrics.items()}
    assert cli.trainer.global_step == 5 * 12
    assert metrics["test_perplexity_doc_mean"] == pytest.approx(2122, rel=0.02)
    assert metrics["test_perplexity"] == pytest.approx(2214, rel=0.02)
    assert metrics["test_topic_diversity"] == pytest.approx(0.022, abs=0.01)


PAPERS = {"inference": "encoder", "theta_act": "relu", "enc_drop": 0.0, "anchor": 0.0}


def test_every_step_is_that_of_the_paper(paper_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Section 5: -E_q[log p(W | delta)] + KL(q(delta) || N(0, I)) by one sample, and Adam with the code's settings."""
    steps: list[tuple[Tensor, Tensor]] = []
    training_step = ETM.training_step

    def compared(self: ETM, batch: BowBatch, batch_idx: int) -> Tensor:
        state = {name: value.detach().double() for name, value in self.state_dict().items()}
        x = reference.dense(batch, batch.counts).long().numpy()
        expected = reference.objective(state, PAPERS, x, len(x), 3 + len(steps), torch.float32).loss
        torch.manual_seed(3 + len(steps))
        loss = training_step(self, batch, batch_idx)
        steps.append((loss.detach(), expected))
        return loss

    monkeypatch.setattr(ETM, "training_step", compared)
    cli = main([
        "fit", f"--config={PAPER}", f"--data.data_dir={paper_dir}", "--trainer.max_epochs=12", "--model.num_topics=4",
        "--model.t_hidden_size=16", "--model.rho_size=12", f"--trainer.default_root_dir={tmp_path}",
        f"--data.cache_dir={tmp_path}", "--trainer.enable_progress_bar=false",
    ])  # fmt: skip
    assert len(steps) == 12
    for loss, expected in steps:
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert steps[-1][0] < steps[0][0]
    assert {name.split(".")[0] for name, _ in cli.model.named_parameters()} == {"topics", "encoder"}
    assert not cli.model.anchor.placed
    (optimizer,) = cli.trainer.optimizers
    assert type(optimizer) is torch.optim.Adam
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (0.005, 1.2e-6)
