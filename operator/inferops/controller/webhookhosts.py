"""Which hosts users' webhooks may be sent to: by name as the admin allows, and by address as no name may lead to.

The check of the address is made where a connection resolves its name, so that what was looked at is what is connected
to: a name cannot mean one address to the check and another one to the call.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult

OPTION = "--webhook-hosts"
DEFAULT = ("*.svc", "*.svc.cluster.local")
PATTERN = re.compile(r"\*|(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?|[0-9a-f:]+")
THREADS = 64  # of names that are being looked up; a name server that is silent holds one for long

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[[str, int], list[str]]  # the addresses of a name; it may block

# Where clouds answer whoever asks with credentials of the machine, beside 169.254.0.0/16, as AWS, Google Cloud,
# Alibaba Cloud and Azure document it.
METADATA = frozenset(
    ipaddress.ip_address(each) for each in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16")
)
THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")


class Forbidden(OSError):
    """A name leads to an address that no user's webhook is sent to."""


class Hosts:
    """The hosts that are allowed: `*` for all, `*.example.com` for those below it, or a name or address itself."""

    def __init__(self, patterns: Iterable[str] = DEFAULT) -> None:
        """Raises ValueError on what is no pattern."""
        self._names: set[str] = set()
        self._below: list[str] = []
        for pattern in patterns:
            if PATTERN.fullmatch(pattern) is None:
                raise ValueError(f"{pattern!r} is no host; write for example *.svc, hooks.example.com or 10.1.2.3")
            if pattern.startswith("*"):
                self._below.append(pattern[1:])
            else:
                self._names.add(pattern)

    def named(self, host: str) -> bool:
        """Whether the host itself is listed: then the admin knows where it leads."""
        return host in self._names

    def allows(self, host: str) -> bool:
        """Whether a webhook may be sent to `host`, a lower-case name or an address. An address must be listed."""
        return self.named(host) or (not _numeric(host) and any(host.endswith(end) for end in self._below))


def off_limits(address: str) -> bool:
    """Whether an address is this machine's own, its link's, one of several receivers, or one that tells credentials."""
    found: Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if isinstance(found, ipaddress.IPv4Address) and (
        found in THIS_NETWORK or found == ipaddress.IPv4Address(2**32 - 1)
    ):
        return True
    return found.is_loopback or found.is_link_local or found.is_multicast or found.is_unspecified or found in METADATA


def _numeric(host: str) -> bool:
    """Whether it is an address, in any of the forms that resolvers take for one, such as 2130706433 and 0x7f.1."""
    last = host.rpartition(".")[2]
    return ":" in host or last.isdigit() or last.startswith("0x")


def addresses(host: str, port: int) -> list[str]:
    """The addresses of a name, as the machine resolves it. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Guarded(AbstractResolver):
    """Resolves names in threads of its own, and refuses those that lead where no webhook may go."""

    def __init__(self, hosts: Hosts, lookup: Lookup = addresses) -> None:
        self._hosts, self._lookup = hosts, lookup
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="webhook names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses to connect to. Raises Forbidden, or OSError where there are none."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, partial(self._lookup, host, port))
        if not self._hosts.named(host) and any(off_limits(address) for address in found):
            raise Forbidden(f"it leads to an address that is off limits; an admin can list it in {OPTION} by its name")
        return [_result(host, address, port) for address in found if "%" not in address]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _result(host: str, address: str, port: int) -> ResolveResult:
    six = ":" in address
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=socket.AF_INET6 if six else socket.AF_INET,
        proto=socket.IPPROTO_TCP,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
