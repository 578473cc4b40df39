"""Ways to get `spec.traffic` wrong: a case, what is changed, and the field and the remedy that the refusals name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KEYS = {"apiKeysSecret": "keys"}
HERE = "spec.traffic"


def _one(case: str, field: str, value: Any, remedy: str, at: str = "") -> tuple[str, Mapping[str, Any], str, str]:
    return case, {f"{HERE}.{field}": value}, f"{HERE}.{field}{at}", remedy


TRAFFIC: tuple[tuple[str, Mapping[str, Any], str, str], ...] = (
    _one("a hostname with a scheme", "hostnames", ["https://a.example.com"], "must be a host name without", "[0]"),
    _one("a hostname with a port", "hostnames", ["a.example.com:443"], "must be a host name without", "[0]"),
    _one("a hostname in capitals", "hostnames", ["A.example.com"], "must be a host name without", "[0]"),
    _one("a star in the middle", "hostnames", ["a.*.example.com"], "or *.example.com", "[0]"),
    _one("a star alone", "hostnames", ["*"], "or *.example.com", "[0]"),
    _one("a hostname twice", "hostnames", ["a.example.com", "a.example.com"], "Duplicate value"),
    _one("more hostnames than a route takes", "hostnames", [f"h{n}.example.com" for n in range(17)], "16"),
    _one("a gateway without a name", "gatewayRef", {"namespace": "infra"}, "equired", ".name"),
    _one("a gateway by path", "gatewayRef", {"name": "infra/public"}, "must be an object's name", ".name"),
    _one("a gateway's namespace with a dot", "gatewayRef", {"name": "a", "namespace": "a.b"}, "must be a name",
         ".namespace"),
    _one("a listener in capitals", "gatewayRef", {"name": "a", "sectionName": "HTTPS"}, "must be an object's name",
         ".sectionName"),
    _one("a picker without a name", "endpointPicker", {"port": 9002}, "equired", ".name"),
    _one("a picker on port 0", "endpointPicker", {"name": "p", "port": 0}, "greater than or equal to 1", ".port"),
    _one("a picker that fails otherwise", "endpointPicker", {"name": "p", "failureMode": "Retry"}, "FailOpen",
         ".failureMode"),
    ("keys that nobody asks for", {f"{HERE}.endpointPicker": {"name": "p"}, f"{HERE}.access": KEYS}, f"{HERE}.access",
     "take one of them away"),
    ("clusters that nobody asks", {f"{HERE}.endpointPicker": {"name": "p"}, f"{HERE}.spillover":
     [{"name": "eu", "url": "http://a"}]}, f"{HERE}.spillover", "take one of them away"),
    _one("keys of no secret", "access", {"requestsPerMinute": 5}, "equired", ".apiKeysSecret"),
    _one("a limit of nothing", "access", {**KEYS, "tokensPerMinute": 0}, "greater than or equal to 1",
         ".tokensPerMinute"),
    _one("a client twice", "access", {**KEYS, "clients": [{"name": "a"}, {"name": "a"}]}, "Duplicate value",
         ".clients"),
    _one("a client that is no key", "access", {**KEYS, "clients": [{"name": "team a"}]}, "must be a key of a Secret",
         ".clients[0].name"),
    _one("a session header with a blank", "sessionHeader", "X Session", "must be a header's name"),
    _one("a request of no time", "requestTimeout", "0s", "must be longer than 0"),
    _one("a request of no unit", "requestTimeout", "30", "must be a duration"),
    _one("a wait in words", "queueTimeout", "soon", "must be a duration"),
    _one("a queue below nothing", "maxQueue", -1, "greater than or equal to 0"),
    _one("a replica that gets nothing", "maxConcurrency", 0, "greater than or equal to 1"),
    _one("a cluster without an address", "spillover", [{"name": "eu"}], "equired", "[0].url"),
    _one("a cluster by path", "spillover", [{"name": "eu", "url": "https://eu.example.com/v1"}],
         "must be http(s)://HOST or HOST:PORT", "[0].url"),
    _one("a cluster with a password", "spillover", [{"name": "eu", "url": "https://a:b@eu.example.com"}],
         "must be http(s)://HOST or HOST:PORT", "[0].url"),
    _one("a cluster with a header in its address", "spillover", [{"name": "eu", "url": "http://eu\r\nX: 1"}],
         "must be http(s)://HOST or HOST:PORT", "[0].url"),
    _one("a cluster twice", "spillover", [{"name": "eu", "url": "http://a"}, {"name": "eu", "url": "http://b"}],
         "Duplicate value"),
    _one("more clusters than are asked", "spillover", [{"name": f"c{n}", "url": "http://a"} for n in range(17)], "16"),
    _one("a wish in words", "matchModelName", "yes", "boolean"),
)  # fmt: skip
