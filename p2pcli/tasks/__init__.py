"""Objectives: networks and losses put together."""
