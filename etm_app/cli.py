"""The command line: LightningCLI with the application's defaults, its callbacks and its guards."""

import logging
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import rich
import torch
import yaml
from jsonargparse import Namespace
from lightning_fabric.plugins.io import TorchCheckpointIO
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer
from pytorch_lightning.accelerators import AcceleratorRegistry
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_info
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from etm_app.callbacks.agreement import LabelAgreement
from etm_app.callbacks.checkpoint import BestCheckpoint
from etm_app.callbacks.collapse import CollapseMonitor
from etm_app.callbacks.divergence import DivergenceStop
from etm_app.callbacks.prediction import ThetaWriter, is_theta_table
from etm_app.callbacks.reference import ReferenceCoherence
from etm_app.callbacks.report import Report
from etm_app.callbacks.tensorboard import TensorBoardTopics
from etm_app.callbacks.terminal import make_console
from etm_app.callbacks.topics import TopicTables
from etm_app.check import CheckingTrainer, show_warnings
from etm_app.checkpoint import EXPECTED, hyperparameters, read_checkpoint
from etm_app.checkpoint_files import CheckpointFiles
from etm_app.chosen_data import arguments_of, choose_data
from etm_app.commands import SUBCOMMANDS, answer, main_parser_arguments

# Imported so that their short names work as well: --data NewsgroupsDataModule.
from etm_app.data.advice import advice
from etm_app.data.counts import CountsDataModule
from etm_app.data.datamodule import BowDataModule
from etm_app.data.docstrings import DocstringsDataModule
from etm_app.data.newsgroups import NewsgroupsDataModule
from etm_app.data.synthetic import SyntheticDataModule
from etm_app.data.text import TextDataModule
from etm_app.errors import UserError
from etm_app.files import check_target, is_same, replacing
from etm_app.help import HelpFormatter, arrange, show_data_module
from etm_app.interrupts import Interrupted
from etm_app.model import ETM
from etm_app.report.page import is_report

__all__ = ["ETMCLI", "check_checkpoint", "main", "vocab_size_of"]

DATA_MODULES = (  # the default first
    DocstringsDataModule,
    CountsDataModule,
    NewsgroupsDataModule,
    SyntheticDataModule,
    TextDataModule,
)
UNKNOWN_CLASS = "expected the name of a class or its import path, my_module.MyClass; there is no"


class Parser(LightningArgumentParser):
    """LightningCLI's parser, with mistakes reported in two lines instead of a page."""

    def get_defaults(self, *args: Any, **kwargs: Any) -> Namespace:
        """The defaults, of the data module only its class: its arguments must not pass to another class."""
        defaults: Namespace = super().get_defaults(*args, **kwargs)
        if isinstance(data := defaults.get("data"), Namespace):
            data.pop("init_args", None)
        return defaults

    def parse_path(self, path: Any, *args: Any, **kwargs: Any) -> Namespace:
        """Parse a config file, named where it is no YAML."""
        try:
            yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            self.error(f"config: {path} is no YAML ({' '.join(str(error).split())})")
        config: Namespace = super().parse_path(path, *args, **kwargs)
        return config

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say what is wrong and where to look, and exit with code 2."""
        if not self.exit_on_error:  # a parser within a parser: the outermost one reports
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        said = condense(message)
        program = parser.prog.replace(" [options]", "")
        hint = hint_at(said, list(parser._option_string_actions))
        sys.stderr.write(f"error: {said}\n{hint}All arguments: {program} --help\n")
        sys.exit(2)


def hint_at(message: str, options: list[str]) -> str:
    """What was meant by an argument or a class that is not known, if that can be told."""
    if found := re.match(r"data: Option '([\w.]+)' is not accepted", message):
        arguments = {cls.__name__: arguments_of(cls) for cls in DATA_MODULES}
        if owners := [name for name in arguments if found[1] in arguments[name]]:
            return f"--data.{found[1]} is an argument of {' and '.join(owners)}: name the class with --data. "
        options = [f"--data.{argument}" for of_class in arguments.values() for argument in of_class]
        message = f"--data.{found[1]}"
    words = {"--" + word.lstrip("-"): options for word in re.findall(r"--[\w.]+|(?<=option ')[\w.]+", message)}
    if found := re.search(rf"(?:{UNKNOWN_CLASS} |has no attribute ')(\w+)", message):
        bases = (LightningDataModule, Optimizer, LRScheduler, Callback)
        words[found[1]] = sorted({name for base in bases for name in names_below(base)})
    near = [match for word, known in words.items() for match in get_close_matches(word, known, n=1) if match != word]
    return f"Did you mean {' and '.join(near)}? " if near else ""


def names_below(base: Any) -> Iterator[str]:
    """The names of all classes that are loaded and derive from one."""
    for derived in base.__subclasses__():
        yield derived.__name__
        yield from names_below(derived)


def condense(message: str) -> str:
    """One line of what jsonargparse says about a value in many: the key, what was expected and what was given."""
    keys: list[str] = []
    details: list[str] = []
    given = ""
    for line in message.splitlines():
        line = line.strip(" -\t")
        if found := re.match(r'Parser key "([^"]+)":\s*(.*)', line):
            keys.append(found[1])
            line = found[2]
        if found := re.match(r"Given value: (?!NestedArg)(.*)", line):
            given = given or f"given: {found[1]}"
        elif not line or re.match(
            r"Does not validate|Subtypes:|Errors:|Given value|Expected a <class 'NoneType'>"
            r"|Expected a path but|Problem with",
            line,
        ):
            continue
        else:
            line = re.sub(r"<class '([^']+)'>|typing\.(Literal\[)", r"\1\2", line)
            details.append(re.sub("Expected a dot import path string:", UNKNOWN_CLASS, line))
    prefix = [".".join(keys)] if keys else []
    if given and details[-1:] != [f"{UNKNOWN_CLASS} {given.removeprefix('given: ')}"]:
        details.append(given)
    return ": ".join([*prefix, "; ".join(dict.fromkeys(details))])


class ETMCLI(LightningCLI):
    """check, fit, validate, test and predict for an ETM over any bag-of-words data module."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Lightning's, and `check`: methods of the trainer with the arguments that the command line fills in."""
        return {"check": {"model", "datamodule"}, **LightningCLI.subcommands()}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the callbacks' arguments, the link of vocabulary sizes and the defaults."""
        parser.add_lightning_class_args(BestCheckpoint, "checkpoint")
        parser.add_lightning_class_args(TopicTables, "topics")
        parser.add_lightning_class_args(ReferenceCoherence, "coherence")
        parser.add_lightning_class_args(TensorBoardTopics, "tensorboard")
        parser.add_lightning_class_args(Report, "report")
        parser.add_lightning_class_args(ThetaWriter, "prediction")
        parser.link_arguments("data", "model.vocab_size", compute_fn=self._vocab_size, apply_on="instantiate")
        parser.set_defaults(
            {
                # In the trainer's own list, so that a config can leave it out: `callbacks: null`.
                "trainer.callbacks": [
                    {
                        "class_path": _class_path(EarlyStopping),
                        "init_args": {"monitor": "val_perplexity", "patience": 3, "strict": False},
                    }
                ],
                "checkpoint.filename": "best",
                "checkpoint.monitor": "val_perplexity",
                "checkpoint.enable_version_counter": False,
            }
        )

    def setup_parser(self, *args: Any, **kwargs: Any) -> None:
        """Lightning's, with help in the order of a first use."""
        super().setup_parser(*args, **kwargs)
        assert self.parser._subcommands_action is not None
        for listed in self.parser._subcommands_action._choices_actions:
            listed.help = SUBCOMMANDS[listed.dest]
            arrange(self._parser(listed.dest))

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and check devices and checkpoint before anything is made from them."""
        words = sys.argv[1:] if args is None else args if isinstance(args, list) else []
        chosen = choose_data(words, DATA_MODULES)
        data_module = chosen.default if chosen.name is None else _data_module(chosen.name)
        for name in SUBCOMMANDS:
            self._parser(name).set_defaults({"data": {"class_path": _class_path(chosen.default)}})
            if data_module is not None and {"-h", "--help"} & {*words}:
                show_data_module(self._parser(name), data_module)
        super().parse_arguments(parser, args)
        subcommand = self.config.subcommand
        if chosen.arguments:
            arguments = ", ".join(f"--data.{name}" for name in chosen.arguments)
            rank_zero_info(f"Data: {chosen.default.__name__}, for {arguments}; --data names another class.")
        check_accelerator(self.config[subcommand].trainer.accelerator)
        # The data modules' own bars are drawn before there is a trainer to ask.
        rich.get_console().quiet = self.config[subcommand].trainer.enable_progress_bar is False
        self._checkpoint = check_checkpoint(subcommand, self.config[subcommand].get("ckpt_path"))
        self._targets = check_targets(subcommand, self.config)
        if self._checkpoint is not None:
            parse = parser.parse_object if isinstance(args, dict | Namespace) else parser.parse_args
            given = parse(args, defaults=False).get(f"{subcommand}.model") or {}
            for name, trained in hyperparameters(self._checkpoint).items():
                if name in given and given[name] != trained:
                    raise UserError(
                        f"model.{name}: {given[name]}, but the checkpoint was trained with {trained}; expected the "
                        f"same: leave model.{name} out, or train anew without --ckpt_path."
                    )

    def _parse_ckpt_path(self) -> None:
        """Take the model's arguments from the checkpoint that was checked; Lightning would read the file again."""
        if self._checkpoint is not None:
            model = {"model": hyperparameters(self._checkpoint)}
            self.config = self.parser.parse_object({self.config.subcommand: model}, self.config)

    def _vocab_size(self, data: LightningDataModule) -> int:
        """The size of the data's vocabulary: of the checkpoint's where there is one and the data counts texts."""
        for argument, path in self._targets.items():  # here, as the vocabulary is the first that is computed
            if isinstance(data, BowDataModule) and data.reads(path):
                raise UserError(
                    f"{argument}: {path} is, or would be, among the files that {type(data).__name__} reads; "
                    "expected another name, or another folder."
                )
        if self._checkpoint is not None and self._checkpoint["vocab"] is not None and isinstance(data, BowDataModule):
            data.use(self._checkpoint["vocab"], self._checkpoint.get("analyzer"))
        return vocab_size_of(data)

    def before_instantiate_classes(self) -> None:
        """Give `check` a model without weights."""
        if self.subcommand == "check":
            self.parser.add_instantiator(_on_meta, ETM, prepend=True)

    def before_fit(self) -> None:
        """Without validation documents there is no best model: keep the last, and train to the end."""
        self._warn()
        if not _has_documents(self.datamodule, "val_dataloader"):
            rank_zero_info("No validation documents: best.ckpt will be the model of the last epoch.")
            self._get(self.config_init, "checkpoint").monitor = None
            callbacks = self.trainer.callbacks  # type: ignore[attr-defined]  # set by a connector
            callbacks[:] = [callback for callback in callbacks if not isinstance(callback, EarlyStopping)]

    def fit(self, **kwargs: Any) -> None:
        """Lightning's fit; interrupted, it says how to go on."""
        with self._interruptible(self._how_to_go_on):
            self.trainer.fit(**kwargs)

    @contextmanager
    def _interruptible(self, how_to_go_on: Callable[[], str]) -> Iterator[None]:
        try:
            yield
        except Interrupted as interrupted:
            if self.trainer.strategy.launcher is not None:
                self.trainer.strategy.launcher.kill(signal.SIGKILL)  # the others wait for this process, deaf to less
            interrupted.remedy = how_to_go_on()
            raise

    def _how_to_go_on(self) -> str:
        # What a signal would save in the middle of an epoch could not be resumed exactly; the end of the last one can.
        folders = (Path(callback.dirpath) for callback in self.trainer.checkpoint_callbacks if callback.dirpath)  # type: ignore[attr-defined]
        epochs = {folder / "last.ckpt": self._checkpoint_files.epochs.get(folder / "last.ckpt") for folder in folders}
        for path, epoch in epochs.items():
            if epoch:
                return f" after {epoch} epoch{'s' * (epoch > 1)}; go on with the same arguments and --ckpt_path {path}"
        before = self._get(self.config, "ckpt_path")
        return " before an epoch was over, so nothing new is saved" + (f"; go on from {before}" if before else "")

    def _warn(self) -> None:
        """Say what will mislead the topics before they are trained."""
        if vocab_size_of(self.datamodule) == 1:
            raise UserError(
                "data: one word in the vocabulary: all topics would be that word; expected more of them: lower "
                "--data.min_df, raise --data.max_df, or take more documents."
            )
        if isinstance(self.datamodule, BowDataModule) and self.trainer.is_global_zero:
            own_texts = isinstance(self.datamodule, TextDataModule)
            show_warnings(make_console(), advice(self.datamodule.corpus, len(self.model.topics.alpha), own_texts))

    def after_fit(self) -> None:
        """Evaluate the best checkpoint, and show its topics."""
        if self._checkpoint is not None and self.trainer.global_step == self._checkpoint["global_step"]:
            rank_zero_info(
                f"Nothing was trained: the checkpoint has had {self.trainer.current_epoch} epochs, and "
                f"trainer.max_epochs is {self.trainer.max_epochs}; to go on, give more (--trainer.max_epochs "
                f"{self.trainer.current_epoch + 1}, say)."
            )
        best = self._get(self.config_init, "checkpoint").best_model_path or None
        go_on = f"; go on with test --ckpt_path {best}" if best else ""
        with self._interruptible(lambda: f" when training was over{go_on}"):
            self._evaluate(best)

    def _evaluate(self, best: str | None) -> None:
        evaluations = {"val": self.trainer.validate, "test": self.trainer.test}
        splits = [split for split in evaluations if _has_documents(self.datamodule, f"{split}_dataloader")]
        for split in splits:
            evaluations[split](self.model, datamodule=self.datamodule, ckpt_path=best, verbose=False)
        if not splits:
            for writer in ("topics", "report"):
                self._get(self.config_init, writer).write(self.trainer, self.model)
            self._get(self.config_init, "tensorboard").show(self.trainer, self.model)
        self._show(best)

    def validate(self, **kwargs: Any) -> None:
        """Lightning's validate without its table of numbers, which the one with definitions replaces."""
        self._require("val")
        self.trainer.validate(**{**kwargs, "verbose": False})
        self._show()

    def test(self, **kwargs: Any) -> None:
        """Lightning's test without its table of numbers, which the one with definitions replaces."""
        self._require("test")
        self.trainer.test(**{**kwargs, "verbose": False})
        self._show()

    def predict(self, **kwargs: Any) -> None:
        """Lightning's predict with rows written as they come, none kept in memory, and nothing written but these."""
        writer = self._get(self.config_init, "prediction")
        if writer.path is None:
            writer.path = Path(self.trainer.log_dir or self.trainer.default_root_dir) / "theta.parquet"
        loggers, self.trainer.loggers = self.trainer.loggers, []
        with self._interruptible(lambda: ""):
            self.trainer.predict(**{**kwargs, "return_predictions": False})
        self.trainer.loggers = loggers
        if self.trainer.is_global_zero:
            print(
                f"theta of {writer.num_documents:,} documents ({writer.num_empty:,} of them empty: no word in the "
                f"vocabulary, theta of the prior) written to {writer.written}"
            )

    def _require(self, split: str) -> None:
        if not _has_documents(self.datamodule, f"{split}_dataloader"):
            raise UserError(
                f"data: {type(self.datamodule).__name__} has no {split} documents; expected some: "
                f"give it a {split} split or a {split}_dataloader."
            )

    def _show(self, checkpoint: str | None = None) -> None:
        tables = self._get(self.config_init, "topics")
        if not self.trainer.is_global_zero or tables.folder is None:
            return
        console = make_console()
        tables.show(console)
        lines = {f"Written to {tables.folder}": ", ".join(tables.written())}
        if (report := self._get(self.config_init, "report").written) is not None:
            lines["To look at the topics"] = report
        if checkpoint:
            lines["Best checkpoint"] = checkpoint
        for logger in self.trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                lines["To look closer"] = f"tensorboard --logdir {logger.root_dir}"
        for name, value in lines.items():
            console.print(f"{name}: {value}", soft_wrap=True, markup=False)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Lightning's, with progress bars only where there is a terminal to draw them on."""
        wanted = self._get(self.config_init, "trainer")["enable_progress_bar"]
        if wanted is None:
            kwargs["enable_progress_bar"] = rich.get_console().is_terminal
        trainer = super().instantiate_trainer(**kwargs)
        self._checkpoint_files = CheckpointFiles()
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # or the user has a plugin, or a strategy its own
            trainer.strategy.checkpoint_io = self._checkpoint_files
        if callable(signal.getsignal(signal.SIGTERM)):
            # Ours ends the run at once. Lightning's first broadcasts to the other processes of the run; if they are in
            # another collective operation, it could wait for ever.
            trainer._signal_connector._sigterm_notifier_fn = lambda *_: None  # type: ignore[method-assign]
        return trainer


class RunConfig(SaveConfigCallback):
    """Lightning's config.yaml in the run folder, as a whole or not at all; `predict` has no run folder."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write it once, where something else will be written as well."""
        if stage == "predict" or self.already_saved:
            return
        folder = Path(trainer.log_dir or trainer.default_root_dir)  # in all processes: Lightning broadcasts it
        if trainer.is_global_zero:
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(folder / self.config_filename) as path:
                path.write_text(self.parser.dump(self.config, skip_none=False), encoding="utf-8")
        self.already_saved = True


def check_targets(subcommand: str, config: Namespace) -> dict[str, Path]:
    """Refuse to write over a file that is named elsewhere, or that somebody else wrote, before anything is computed.

    Args:
        subcommand: The subcommand.
        config: The arguments of the command.

    Returns:
        The files that the user wants something written to, by argument.

    Raises:
        UserError: One of them is there and not to be replaced.
    """
    own = config[subcommand]
    if subcommand == "predict":
        argument, section, is_ours = "prediction.path", own.prediction, is_theta_table
    elif subcommand != "check" and own.report.enabled:
        argument, section, is_ours = "report.path", own.report, is_report
    else:
        return {}
    if section.path is None:
        return {}
    path = section.path.expanduser()
    named = {name: value if isinstance(value, list) else [value] for name, value in config.items()}
    del named[f"{subcommand}.{argument}"]
    for name, values in named.items():
        paths = [Path(value).expanduser() for value in values if isinstance(value, str | os.PathLike)]
        if path.is_file() and any(is_same(path, other) for other in paths):
            name = name.removeprefix(f"{subcommand}.").replace("init_args.", "")
            raise UserError(f"{argument}: {path} is what {name} names; expected another file to write to.")
    check_target(path, argument, is_ours, section.overwrite)
    return {argument: path}


def vocab_size_of(data: LightningDataModule) -> int:
    """The size of a data module's vocabulary, which the model's is linked to.

    Raises:
        UserError: It has none, or no whole number from 1.
    """
    size = getattr(data, "vocab_size", None)
    if not isinstance(size, int) or size < 1:
        raise UserError(
            f"data: the vocab_size of {type(data).__name__} is {size!r}; expected the number of words, an int from 1."
        )
    return size


def check_accelerator(accelerator: Any) -> None:
    """Refuse a kind of device that is not there, before documents are read for it.

    Raises:
        UserError: There is no such kind, or no such device here.
    """
    if not isinstance(accelerator, str) or accelerator == "auto":
        return
    kinds = {name: AcceleratorRegistry[name]["accelerator"] for name in sorted(AcceleratorRegistry)}
    there = [name for name, kind in kinds.items() if kind.is_available()]
    known = ["auto", "gpu", *kinds]
    remedy = "set --trainer.accelerator auto, which takes the fastest device that is there"
    if accelerator not in known:
        raise UserError(f"trainer.accelerator: {accelerator}; expected one of {', '.join(known)}: {remedy}.")
    if not {"cuda", "mps"} & {*there} if accelerator == "gpu" else accelerator not in there:
        raise UserError(
            f"trainer.accelerator: {accelerator}, but torch {torch.__version__} finds none here; "
            f"there is {', '.join(there)}: {remedy}."
        )


def check_checkpoint(subcommand: str, path: str | Path | None) -> dict[str, Any] | None:
    """Refuse what would evaluate random weights or end in a traceback.

    Returns:
        The checkpoint without its tensors; None where none is needed and none is named.

    Raises:
        UserError: No checkpoint where one is needed, a keyword for one, a missing file or one of another kind.
    """
    if path is None:
        if subcommand not in ("fit", "check"):
            raise UserError(f"ckpt_path: {subcommand} without a checkpoint would use random weights; {EXPECTED}")
        return None
    if str(path) in ("best", "last", "hpc", "registry") or str(path).startswith("registry:"):
        raise UserError(f"ckpt_path: {path!r} names no file, and a fresh process knows no earlier run; {EXPECTED}")
    checkpoint = read_checkpoint(path, ETM)
    # The rest would keep the file open, which fit may overwrite.
    return {name: checkpoint.get(name) for name in ("hyper_parameters", "vocab", "analyzer", "global_step")}


def _has_documents(datamodule: LightningDataModule, loader: str) -> bool:
    if not is_overridden(loader, datamodule, LightningDataModule):
        return False
    if isinstance(datamodule, BowDataModule):
        return len(datamodule.corpus.rows(loader.removesuffix("_dataloader"))) > 0
    return True


def _on_meta(class_type: type[ETM], *args: Any, **kwargs: Any) -> ETM:
    with torch.device("meta"):
        return class_type(*args, **kwargs)


def _data_module(name: str) -> type[LightningDataModule] | None:
    """The class of this name or import path, if it can be had; what is wrong with it is the parser's to say."""
    shipped = {cls.__name__: cls for cls in DATA_MODULES}
    module, _, attribute = name.rpartition(".")
    try:
        found = shipped[name] if name in shipped else getattr(import_module(module), attribute)
    except Exception:  # an import runs anything
        return None
    return found if isinstance(found, type) and issubclass(found, LightningDataModule) else None


def _class_path(of: type) -> str:
    return f"{of.__module__}.{of.__qualname__}"


def _silence_the_expected() -> None:
    """Keep the terminal for what a user can act on."""
    for message in (
        ".*does not have many workers",  # slicing a batch takes a millisecond, a worker costs more than it saves
        "Couldn't infer the batch indices",  # the batches that we make say which documents they have
        "The dirpath has changed from",  # evaluating a checkpoint of another run is what checkpoints are for
        ".*You have overridden `on_before_batch_transfer`",  # the model takes any data module's batches, by design
        r".*isinstance\(treespec, LeafSpec\)",  # between Lightning and torch
    ):
        warnings.filterwarnings("ignore", message=message)
    advertisement = "litlogger"
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(
        lambda record: advertisement not in record.getMessage()
    )


def main(args: list[str] | dict[str, Any] | Namespace | None = None) -> ETMCLI:
    """Run the command line; a user's mistake ends the process with one or two lines and exit code 2.

    Args:
        args: Arguments instead of those of the process, as LightningCLI takes them.

    Returns:
        The finished run, with trainer, model and datamodule.
    """
    _silence_the_expected()
    if args is None or isinstance(args, list):
        answer(sys.argv[1:] if args is None else args)
    main_parser = main_parser_arguments()
    try:
        return ETMCLI(
            ETM,
            LightningDataModule,
            trainer_class=CheckingTrainer,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            seed_everything_default=1,
            save_config_callback=RunConfig,
            trainer_defaults={
                "max_epochs": 6,
                "log_every_n_steps": 1,
                "num_sanity_val_steps": 0,
                "enable_model_summary": False,
                "callbacks": [
                    DivergenceStop(),  # before those that would show what is not finite
                    CollapseMonitor(),
                    LabelAgreement(),
                    ModelCheckpoint(filename="last", enable_version_counter=False),
                ],
            },
            parser_class=Parser,
            parser_kwargs={
                **main_parser,
                "formatter_class": HelpFormatter,
                **{
                    subcommand: {
                        "description": description,
                        "usage": f"{main_parser['prog']} {subcommand} [--config FILE] [--ARGUMENT VALUE ...]",
                        "allow_abbrev": False,  # or --model.num_topic would set num_topics without a word
                    }
                    for subcommand, description in SUBCOMMANDS.items()
                },
            },
            args=args,
        )
    except Exception as error:
        mistake = error.__cause__ if isinstance(error.__cause__, UserError) else error  # jsonargparse wraps some
        if not isinstance(mistake, UserError | MisconfigurationException | OSError):
            raise
        sys.stderr.write(f"error: {' '.join(str(mistake).split())}\n")
        sys.exit(2)
