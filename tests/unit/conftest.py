"""Settings of all unit tests."""

from hypothesis import settings

# No test is timed: how long an example takes is a matter of the machine.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
