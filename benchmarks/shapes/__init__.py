"""The shapes of result that the family's papers report, tried at a size that a CPU can train in an hour.

`data` cuts pictures, `runs` trains, `measures` and `verdicts` judge, `experiments` says what is claimed,
`strips` and `page` write docs/results.md. Run by benchmarks/results.py.
"""
