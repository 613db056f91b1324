"""What a report tells of the run that made the model, beside the model itself."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Run"]

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Run:
    """How a model was trained and how good it is; everything may be missing.

    Attributes:
        metrics: Final values by logged name (``val_perplexity``).
        history: Values over the run by logged name, as (epochs done, value), in order.
        settings: Groups of settings by title, each with values by name.
        warnings: What there is to be said about the run.
        coherence: NPMI of each topic where it is known already, [K].
        comparison: With another model, as `compare` gives it.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    history: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    settings: dict[str, dict[str, Value]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    coherence: NDArray[np.float64] | None = None
    comparison: dict[str, Any] | None = None
