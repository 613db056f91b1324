"""The model as an estimator of scikit-learn's."""
