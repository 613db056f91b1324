"""What each metric means, in one table."""

from etm_app.metrics.agreement import AGREEMENT_DEFINITIONS
from etm_app.metrics.coherence import REFERENCE_DEFINITIONS, TOPIC_DEFINITIONS
from etm_app.metrics.elbo import ELBO_DEFINITIONS
from etm_app.metrics.perplexity import PERPLEXITY_DEFINITIONS
from etm_app.metrics.usage import USAGE_DEFINITIONS

__all__ = ["DEFINITIONS", "definition_of"]

DEFINITIONS = {
    **PERPLEXITY_DEFINITIONS,
    **ELBO_DEFINITIONS,
    **TOPIC_DEFINITIONS,
    **REFERENCE_DEFINITIONS,
    **USAGE_DEFINITIONS,
    **AGREEMENT_DEFINITIONS,
}


def definition_of(metric: str) -> str:
    """The definition of a metric by its logged name, with the split's name before it."""
    return DEFINITIONS.get(metric.split("_", 1)[1], "")
