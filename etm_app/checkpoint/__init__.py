"""Checkpoints: what one may hold, how it gets onto the disk, and what a run takes up from it."""
