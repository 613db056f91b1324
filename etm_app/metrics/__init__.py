"""The numbers that are reported, one definition each."""
