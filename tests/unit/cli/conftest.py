"""The tests of commands share one command line. Typer would make it anew for every call, from the annotations of all
commands: that takes longer than most of the calls themselves."""

from functools import cache

from typer import testing

testing._get_command = cache(testing._get_command)
