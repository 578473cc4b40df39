"""`python -m inferops`: the command line."""

from inferops.cli.main import app

app()
