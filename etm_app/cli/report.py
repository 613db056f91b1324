"""``python -m etm_app report``: the page of a checkpoint, without training or measuring anything."""

from pathlib import Path

from pytorch_lightning import LightningDataModule, LightningModule

from etm_app.callbacks.report import Report
from etm_app.callbacks.topic_tables import TopicTables
from etm_app.checkpoint.content import read_checkpoint
from etm_app.cli.check import CheckingTrainer
from etm_app.data.datamodule import training_set
from etm_app.data.vocabulary import check_same_vocab
from etm_app.errors import UserError
from etm_app.model import ETM
from etm_app.report.comparison import check_comparable, read_recorded
from etm_app.report.names import read_names
from etm_app.report.terminal import make_console, show_comparison, show_path

__all__ = ["ReportingTrainer"]


class ReportingTrainer(CheckingTrainer):
    """The trainer of `check`, which can also write the report of a checkpoint."""

    def report_on(
        self,
        model: LightningModule,
        datamodule: LightningDataModule | None = None,
        ckpt_path: str | Path | None = None,
        weights_only: bool | None = None,
    ) -> None:
        """Write the page of a checkpoint and nothing else; without data it has what the checkpoint knows.

        Args:
            model: A model with the arguments of this command; its weights are not looked at.
            datamodule: The data, whose training documents are shown; none of them without it.
            ckpt_path: The checkpoint.
            weights_only: Only here so that a config that fit saved serves report as well.

        Raises:
            UserError: The checkpoint or the data are none for it, or the page cannot be written.
        """
        assert isinstance(model, ETM)
        assert ckpt_path is not None  # the command line has looked at it
        report = next(of for of in self.callbacks if isinstance(of, Report))  # type: ignore[attr-defined]
        tables = next(of for of in self.callbacks if isinstance(of, TopicTables))  # type: ignore[attr-defined]
        if not report.enabled:
            raise UserError("report.enabled: false, but report writes nothing else; expected true: leave it out.")
        path = report.path or Path("report.html")
        report.check(path)
        report.read_other()
        recorded = read_recorded(ckpt_path, "ckpt_path")
        if report.compare is not None:
            check_comparable(recorded, "ckpt_path")
        shown = recorded.model.to(self.strategy.root_device)
        if tables.names is not None:
            shown.given_names = read_names(tables.names.expanduser(), len(shown.alpha), "topics.names")
        shown.relevance = shown.hparams["relevance"] = model.relevance
        vocab = getattr(datamodule, "vocab", None)
        if vocab is not None:
            check_same_vocab(vocab, shown.vocab, shown.vocab_size)
        shown.vocab = shown.vocab or [*(vocab or map(str, range(shown.vocab_size)))]  # else called by their number
        if datamodule is not None:
            shown.training_set = training_set(datamodule, shown.vocab_size)
        states = read_checkpoint(ckpt_path, type(model)).get("callbacks")
        report.write_alone(recorded, datamodule, states, path)
        documents = "no documents: name them with --data"
        if shown.training_set is not None:
            documents = f"{len(shown.training_set):,} training documents"
        console = make_console()
        if report.comparison is not None:
            show_comparison(console, report.comparison)
        if report.table is not None:
            console.print(f"The comparison: {show_path(report.table)}", soft_wrap=True, markup=False)
        said = f"{len(shown.alpha)} topics, {documents}. To look at them: {show_path(path)}"
        console.print(said, soft_wrap=True, markup=False)

    report = report_on  # the subcommand; the method's own name is that of its arguments, and report has others
