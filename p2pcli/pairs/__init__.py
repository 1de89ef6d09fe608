"""Pair makers."""
