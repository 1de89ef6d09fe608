"""`python -m p2pcli` is `p2p`."""

from p2pcli.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
