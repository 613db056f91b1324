"""Counts that exist already."""
