"""Waits until each URL of the command line answers with 200, for a minute in all; says what the last answers were."""

import sys
import time
import urllib.request

until = time.monotonic() + 60
for url in sys.argv[1:]:
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                print(url, answer.status)
                break
        except OSError as error:
            if time.monotonic() > until:
                sys.exit(f"{url}: {error}; see the log of the pods behind it")
            time.sleep(1)
