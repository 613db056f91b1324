"""Documents to counts to batches."""
