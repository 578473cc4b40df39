"""Where the cluster is and how we talk to it: credentials, TLS, an HTTP session, and our name."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import aiohttp
import yaml
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import Configuration

IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class WithTLS(Configuration):
    """A configuration that has its TLS made already, so that no file needs to hold its keys."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self.tls = tls  # None: made of the other fields, as with any configuration


async def load_configuration(kubeconfig: str | None = None, context: str | None = None) -> Configuration:
    """Where the cluster is and how to log in: a kubeconfig, else the pod's own ServiceAccount.

    Raises `kubernetes.aio.config.ConfigException` where there is neither.
    """
    configuration = Configuration()
    if kubeconfig is None and IN_CLUSTER.exists():
        kube_config.load_incluster_config(client_configuration=configuration)
    else:
        await kube_config.load_kube_config(
            config_file=kubeconfig, context=context, client_configuration=configuration, persist_config=False
        )
    return configuration


def namespace_of(kubeconfig: str | None = None, context: str | None = None) -> str:
    """The namespace that a context of the kubeconfig names, in a pod its own; "default" where none is named."""
    if kubeconfig is None and IN_CLUSTER.exists():
        return IN_CLUSTER.with_name("namespace").read_text().strip()
    try:
        contexts, current = kube_config.list_kube_config_contexts(kubeconfig)
    except (kube_config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError, AttributeError):
        return "default"  # who logs in with it tells what is wrong with it
    chosen = next((each for each in contexts if each["name"] == context), None) if context else current
    return str(((chosen or {}).get("context") or {}).get("namespace") or "default")


async def bearer(configuration: Configuration) -> dict[str, str]:
    """The authorization header, refreshed where the credentials expire."""
    token = await configuration.get_api_key_with_prefix("BearerToken")
    return {"Authorization": token} if token else {}


def user_agent(identity: str = "") -> str:
    """How we name ourselves in the API server's audit log; `identity` tells the operator's replicas apart."""
    try:
        release = version("inferops")
    except PackageNotFoundError:  # run from its sources
        release = "source"
    return f"inferops/{release}" + (f" ({identity})" if identity else "")


def tls_context(configuration: Configuration) -> ssl.SSLContext:
    """TLS as the configuration says. Raises OSError and ValueError where its files or certificates are none."""
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert, cadata=configuration.ca_cert_data)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.disable_strict_ssl_verification:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def new_session(
    configuration: Configuration,
    headers: Mapping[str, str] | None = None,
    trace_configs: list[aiohttp.TraceConfig] | None = None,
) -> aiohttp.ClientSession:
    """An HTTP session with the cluster's TLS and proxy. Call inside a running event loop; close it when done."""
    tls = configuration.tls if isinstance(configuration, WithTLS) else None
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=tls or tls_context(configuration)),
        headers=headers,
        proxy=configuration.proxy,
        trace_configs=trace_configs,
        read_bufsize=2**21,  # an event of a watch is one line
    )
