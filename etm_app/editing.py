"""What a user changes of a trained model by hand: names, number and order of topics; and how it is kept."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pytorch_lightning import __version__ as lightning_version  # type: ignore[attr-defined]  # not in its __all__
from torch import Tensor
from typing_extensions import Self

from etm_app.checkpoint.content import COLUMNS, OF_TOPICS, hyperparameters, read_checkpoint
from etm_app.checkpoint.files import CheckpointFiles
from etm_app.checkpoint.resume import configured
from etm_app.data.vocabulary import check_vocab
from etm_app.errors import UserError
from etm_app.evaluation import EvaluatedModel
from etm_app.nn.merging import nearest_topic, topic_tree
from etm_app.topic_names import MAX_NAME, check_names

__all__ = ["EditedModel"]


class EditedModel(EvaluatedModel):
    """A model whose topics can be named, merged and ordered, and that can be written to a file.

    Attributes:
        unmerged: Where topics were merged or ordered, what `unmerge` gives back: ``state`` of the topics,
            ``topic_names`` and ``seed_topics``.
    """

    unmerged: dict[str, Any] | None

    def name_topics(self, names: Mapping[int, str | None]) -> None:
        """Give topics names, by which everything that shows topics calls them.

        Args:
            names: By the topic's number; None takes a name away. Topics that are not among them keep theirs.

        Raises:
            UserError: There is no such topic; or a name is none, or another topic's.
        """
        given = zip(_numbers(names, len(self.alpha), "name_topics"), names.values(), strict=True)
        new = {topic: name for topic, name in {**self.given_names, **dict(given)}.items() if name is not None}
        check_names(new, len(self.alpha), "name_topics")
        self.given_names = new

    def merge_suggestions(self, num_topics: int | None = None) -> list[list[int]]:
        """Groups of topics that are alike, the most alike first, to be merged: by the tree of the report's list.

        Args:
            num_topics: How many topics there are to be then; by default the pairs that have each other nearest.

        Raises:
            UserError: There are to be fewer than one, or more than there are.
        """
        from scipy.cluster.hierarchy import to_tree

        most = len(self.alpha)
        if num_topics is not None and not (isinstance(num_topics, int | np.integer) and 1 <= num_topics <= most):
            raise UserError(f"merge_suggestions: num_topics {num_topics!r:.80}; expected a number from 1 to {most}.")
        if most < 2:
            return []
        _, nodes = to_tree(topic_tree(self.topic_similarity), rd=True)
        joins = [node for node in nodes if not node.is_leaf()]  # the nearest first
        if num_topics is None:
            return [sorted(node.pre_order()) for node in joins if node.get_count() == 2]
        groups: list[set[int]] = []
        for node in joins[: most - num_topics]:
            members = set(node.pre_order())
            groups = [group for group in groups if not group <= members] + [members]
        return [sorted(group) for group in groups]

    def merge(self, groups: Sequence[Sequence[int]]) -> Self:
        """A model in which each group of topics is one topic.

        Its embedding is the one whose words are nearest to those of the group together, weighed by size (least
        Kullback-Leibler divergence, word embeddings unchanged), and its size is their sum; so is what is remembered of
        documents before. It stands where the first of them stood, and is called by the names that they were given, if
        no other topic is. `unmerge` gives the topics back; seed words hold none of the new model's.

        Args:
            groups: Numbers of topics, two or more in each, none in two groups.

        Returns:
            Another model; this one stays as it is. Documents that come with embeddings get the mean of the group's
            weights for them.

        Raises:
            UserError: There is no such topic, one is in two groups or alone; or the model has an encoder, whose theta
                of several topics cannot be made that of one.
        """
        e_step, memory, num_topics = self.e_step, self.memory, len(self.alpha)
        if e_step is None:
            raise UserError(
                "merge: an encoder's theta of several topics cannot be made that of one; expected a model of inference "
                "mixture or mixed_membership."
            )
        try:
            given = [topic for group in groups for topic in group]
        except TypeError as error:
            raise UserError(f"merge: {groups!r:.80}; expected groups of topics: [[3, 7], [4, 5, 9]], say.") from error
        members = _numbers(given, num_topics, "merge")
        if any(len(group) < 2 for group in groups):
            raise UserError("merge: a group of one topic or none; expected two or more in each.")
        parts = [sorted(map(int, group)) for group in groups] + [[topic] for topic in {*range(num_topics)} - {*members}]
        parts.sort()
        share = e_step.log_prior().exp().detach()
        state = self._of([part[0] for part in parts])
        rho, beta = self.rho.double().cpu().numpy(), self.beta.double()
        for number, part in enumerate(parts):
            if len(part) == 1:
                continue
            weight = (share[part] / share[part].sum()).to(beta)
            start = weight @ self.alpha[part].double()
            merged = nearest_topic((weight @ beta[part]).cpu().numpy(), rho, start.cpu().numpy())
            state["topics.alpha"][number] = torch.from_numpy(merged)
            state["e_step.size"][number] = e_step.size[part].detach().logsumexp(0)
            if e_step.from_vectors is not None:
                state["e_step.from_vectors"][number] = weight @ e_step.from_vectors[part].detach().double()
            if "anchor.alpha" in state:
                state["anchor.alpha"][number] = state["topics.alpha"][number]
            for counted, of_words in (("memory.counts", memory.counts), ("memory.words", memory.words)):
                if counted in state:
                    state[counted][:, number] = of_words[:, part].sum(1)
            if memory.placed:
                sizes = memory.sizes[part]
                state["memory.sizes"][number] = sizes.sum()
                state["memory.topics"][:, number] = memory.topics[:, part] @ (sizes / sizes.sum())
        names: dict[int, str] = {}
        for number, part in sorted(enumerate(parts), key=lambda of: len(of[1])):  # names as given before joined ones
            if (name := self._name_of(part, share)) and name not in names.values():
                names[number] = name
        return self._with(state, names, self._before())

    def reorder(self, order: Sequence[int] | Literal["size"]) -> Self:
        """A model with its topics in another order; `unmerge` gives them back as they were.

        Args:
            order: The numbers of all topics, that of the new topic 0 first; or ``size``: the largest first.

        Returns:
            Another model; this one stays as it is. Seed words hold none of its topics.

        Raises:
            UserError: A topic is missing, repeats or is none; or the sizes are not known, as with an encoder.
        """
        if isinstance(order, str):
            if order != "size" or self.e_step is None:
                raise UserError(
                    f"reorder: {order!r}; expected numbers of topics, or 'size' for a model without encoder."
                )
            order = self.e_step.size.detach().argsort(descending=True, stable=True).tolist()
        order = _numbers(order, len(self.alpha), "reorder")
        if len(order) < len(self.alpha):
            raise UserError(f"reorder: {len(order)} topics; expected all {len(self.alpha)} in their new order.")
        names = {order.index(topic): name for topic, name in self.given_names.items()}
        return self._with(self._of(order), names, self._before())

    def unmerge(self) -> Self:
        """The model with the topics that it had before any of them were merged or put into another order.

        Raises:
            UserError: They were not; or the model was trained since.
        """
        if self.unmerged is None:
            raise UserError("unmerge: no topics were merged or reordered since the model was trained.")
        before = self.unmerged
        return self._with(before["state"], before["topic_names"], None, before["seed_topics"])

    def _of(self, topics: Sequence[int]) -> dict[str, Tensor]:
        """Copies of all that the model has of these topics, in this order."""
        own, order = self.state_dict(), torch.tensor(topics, device=self.rho.device)
        state = {name: own[name].detach() for name in OF_TOPICS if name in own and own[name].numel()}
        for name, tensor in state.items():
            if name in COLUMNS:
                state[name] = tensor.index_select(1, order)
            else:  # An encoder's last layer gives mean and variance of each topic, one after the other.
                rows = tensor.view(-1, len(self.alpha), *tensor.shape[1:])
                state[name] = rows.index_select(1, order).flatten(0, 1)
        return state

    def _before(self) -> dict[str, Any]:
        of = {"topic_names": dict(self.given_names), "seed_topics": self.hparams.get("seed_topics")}
        return self.unmerged or {"state": self._of(range(len(self.alpha))), **of}

    def _name_of(self, part: Sequence[int], share: Tensor) -> str | None:
        """The given names of several topics, the largest first, as far as there is room."""
        largest_first = sorted(part, key=lambda topic: -float(share[topic]))
        given = [self.given_names[topic] for topic in largest_first if topic in self.given_names]
        while len(name := " / ".join(given)) > MAX_NAME:
            given.pop()
        return name or None

    def _with(
        self,
        state: Mapping[str, Tensor],
        names: Mapping[int, str],
        unmerged: dict[str, Any] | None,
        seed_topics: dict[str, list[str]] | None = None,
    ) -> Self:
        """A model with other topics, and else the same."""
        given = hyperparameters({"hyper_parameters": self.hparams})
        given |= {"num_topics": len(state["topics.alpha"]), "seed_topics": seed_topics}
        own = {name: getattr(self, name) for name in ("optimizer", "lr_scheduler", "queries")}
        model = type(self)(**given, **own)
        model.load_state_dict({**self.state_dict(), **state})
        for name in ("vocab", "analyzer", "data_digest", "training_set"):
            setattr(model, name, getattr(self, name))
        model.given_names, model.unmerged = dict(names), unmerged
        return model.to(self.rho.device).train(self.training)

    def save(self, path: str | Path) -> None:
        """Write the model as a checkpoint, which ``load_from_checkpoint`` and every command take.

        It has the model alone: `fit` goes on from its topics with a new optimizer, counting epochs from 0.

        Args:
            path: The file; a checkpoint of an ETM that is there is replaced.

        Raises:
            UserError: It is there and something else, or it cannot be written; or words or names of topics repeat, as
                none could load that.
        """
        check_names(self.given_names, len(self.alpha), "save")
        if self.vocab is not None:
            check_vocab(self.vocab, "save: the vocabulary")
        path = Path(path).expanduser()
        if path.exists():
            try:
                read_checkpoint(path, type(self))
            except UserError as error:
                raise UserError(
                    f"path: {path} is there, and no checkpoint that etm_app wrote; it is kept. Expected another name."
                ) from error
        optimizer, schedulers = configured(self)
        checkpoint = {
            "epoch": 0,
            "global_step": 0,
            "pytorch-lightning_version": lightning_version,
            "state_dict": self.state_dict(),
            "optimizer_states": [optimizer.state_dict()],
            "lr_schedulers": [scheduler.state_dict() for scheduler in schedulers],
            "hparams_name": "kwargs",
            "hyper_parameters": dict(self.hparams),
        }
        self.on_save_checkpoint(checkpoint)
        CheckpointFiles("path").save_checkpoint(checkpoint, path)


def _numbers(topics: Iterable[int], num_topics: int, argument: str) -> list[int]:
    """Numbers of topics, NumPy's as plain ones; those of no topic, and those that repeat, are refused."""
    if not isinstance(topics, Iterable):
        raise UserError(f"{argument}: {topics!r:.80}; expected numbers from 0 to {num_topics - 1}.")
    numbers = [int(topic) if isinstance(topic, np.integer) else topic for topic in topics]
    for place, topic in enumerate(numbers):
        if type(topic) is not int or not 0 <= topic < num_topics:
            raise UserError(f"{argument}: topic {topic!r:.80}; expected numbers from 0 to {num_topics - 1}.")
        if topic in numbers[:place]:
            raise UserError(f"{argument}: topic {topic} is there twice; expected each topic once.")
    return numbers
