"""The mathematics of the model in plain torch, without Lightning."""
