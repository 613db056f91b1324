from pathlib import Path

import pytest

from etm_app.cli.main import main
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
