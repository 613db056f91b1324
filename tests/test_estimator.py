"""The model as an estimator of scikit-learn's."""

from typing import Any

from sklearn.utils import Tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from etm_app import ETMTopics

SMALL: dict[str, Any] = {"n_components": 3, "rho_size": 4, "max_steps": 2}


class OfWholeNumbers(ETMTopics):
    """scikit-learn's checks draw any numbers, and whole ones only for what takes categories: counts are no such."""

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        return tags


@parametrize_with_checks([OfWholeNumbers(**SMALL)])
def test_scikit_learn_takes_it_for_one_of_its_own(estimator: Any, check: Any) -> None:
    check(estimator)
