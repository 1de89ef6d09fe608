"""The command line: parse, call one job, print. Nothing heavy is imported before a command runs."""

from p2pcli.cli.app import app, main

__all__ = ["app", "main"]
