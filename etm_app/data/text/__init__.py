"""Texts to counts."""
