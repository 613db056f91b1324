"""What a report tells of the run that made the model, beside the model itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Run", "plain"]

Value = str | int | float | bool | None
MAX_LIST = 100  # characters


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


def plain(values: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """Settings as a config has them, nested ones by their dotted names; of a long list only its length.

    A class with its arguments is written as a call, ``Adam(lr=0.005)``.
    """
    shown: dict[str, Value] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and "class_path" in value:
            arguments = {of: given for of, given in value.get("init_args", {}).items() if given is not None}
            called = ", ".join(f"{of}={given}" for of, given in arguments.items())
            value = f"{value['class_path'].rpartition('.')[2]}({called})"
        elif isinstance(value, Mapping):
            shown |= plain(value, f"{prefix}{name}.")
            continue
        if isinstance(value, list | tuple):
            text = ", ".join(map(str, value))
            value = text if len(text) <= MAX_LIST else f"{len(value):,} of them"
        shown[f"{prefix}{name}"] = value if isinstance(value, Value) else str(value)
    return shown
