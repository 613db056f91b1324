"""Places for words that a trained model does not know, among those that it does."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import logsumexp

from etm_app.nn.warm_start import log_tf_idf, unit

__all__ = ["place_words"]

# Of a new word's probability in a topic, so much of its share of all tokens at least: few documents tell little of the
# topics that it is not in.
LEAST_SHARE = 0.1
RIDGE = 1e-2  # on the topics' inner products, of their mean square: nearly parallel topics do not blow a word up


def place_words(
    rho: NDArray[np.float32],
    alpha: NDArray[np.float32],
    known: sp.csr_array,
    new: sp.csr_array,
    theta: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Embeddings of new words, by the documents that they are in.

    A word first points where its documents do, as at a warm start (`nn.warm_start`): to the sum of the directions of
    their known words, each document's less their mean, at the mean length of the known words. Then it is moved no more
    than needed for topics to give it the probability that its documents' topics tell: with their theta, and the known
    words as they are, that is one step of expectation and maximization.

    Args:
        rho: Of the V known words, [V, L].
        alpha: Of the topics, [K, L].
        known: Counts of the known words in some documents, [D, V].
        new: Counts of the new words in them, [D, W].
        theta: Topic proportions of these documents by their known words, [D, K].

    Returns:
        Embeddings of the new words, [W, L].
    """
    documents = unit(log_tf_idf(known) @ rho)
    directions = unit(log_tf_idf(new).T @ (documents - documents.mean(axis=0)))
    places = directions * np.linalg.norm(rho, axis=1).mean()
    # How often a topic has the word for each known word of its.
    known_tokens, new_tokens = known.sum(axis=1), new.sum(axis=0)
    of_topics = known_tokens @ theta
    share = np.maximum(new_tokens, 1) / max(known_tokens.sum(), 1)
    ratio = np.maximum((new.T @ theta) / np.maximum(of_topics, 1e-12), LEAST_SHARE * share[:, None])
    wanted = np.log(ratio) + logsumexp(alpha @ rho.T, axis=1)
    products = alpha @ alpha.T
    products[np.diag_indices_from(products)] += RIDGE * np.diag(products).mean()
    moved: NDArray[np.float32] = places + np.linalg.solve(products, (wanted - places @ alpha.T).T).T @ alpha
    return moved.astype(np.float32)
