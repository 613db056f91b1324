"""A name for documents: the same for the same ones, another for others."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b, sha256
from itertools import pairwise

import numpy as np
import torch
from pytorch_lightning import LightningDataModule

from etm_app.data.corpus import BowDataset
from etm_app.data.datamodule import corpus_of

__all__ = ["digest_of_data", "documents_digest"]

SIZE = 16  # bytes of a document's own digest


def documents_digest(parts: Iterable[BowDataset], vocab: Sequence[str]) -> str:
    """Digest of counted documents, and of their vectors where they have such, part by part.

    In a part their order does not matter: loaders of a user's own may shuffle, and no measure depends on it.

    Args:
        parts: To train on, to validate with, ….
        vocab: The V words.
    """
    digest = sha256("\n".join(vocab).encode("utf-8", "surrogatepass"))
    for part in parts:
        of_documents: list[bytes] = []
        for some in part.parts():
            indptr, indices, counts, _ = some.corpus.select(some.rows)
            entries = np.stack((indices, counts), axis=1)
            own = [blake2b(entries[first:end].data, digest_size=SIZE) for first, end in pairwise(indptr.tolist())]
            if (vectors := some.vectors()) is not None:
                for of_document, vector in zip(own, vectors, strict=True):
                    of_document.update(vector.data)
            of_documents += [of_document.digest() for of_document in own]
        documents = np.array(of_documents, f"S{SIZE}")
        documents.sort()
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(documents.tobytes())
    return digest.hexdigest()


def digest_of_data(datamodule: LightningDataModule, training_set: BowDataset, vocab: Sequence[str]) -> str:
    """Digest of what a model is trained on and chosen by.

    Args:
        datamodule: Has the validation documents.
        training_set: Its training documents.
        vocab: The V words.
    """
    with torch.random.fork_rng([]):  # loaders of a user's own may draw
        corpus = corpus_of(datamodule, len(vocab), ("val",))
    return documents_digest((training_set, BowDataset(corpus, corpus.rows("val"))), vocab)
