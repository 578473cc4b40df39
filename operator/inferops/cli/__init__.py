"""The command line: `inferops …`, also as `kubectl inferops …`."""
