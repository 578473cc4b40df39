"""Pods and containers: what a user of ours may set of them, and why the rest is the operator's or the admin's."""

from __future__ import annotations

import re

from inferops.convert.gpus import Gpus, is_gpu, read_selector
from inferops.convert.ledger import Draft, Field

ADMINS = "it belongs to the engine, which an admin offers"
OFFER = "an admin offers a ServingRuntime with spec.{field}; name it in spec.runtime.name"
RESTRICTED = "pods run as Pod Security restricted has it, without privileges and without a token"

Why = dict[str, tuple[str, str]]

CONTAINER: Why = {
    "image": (ADMINS, OFFER.format(field="image")),
    "imagePullPolicy": ("images are named by version, which need no other policy", ""),
    "command": (ADMINS, OFFER.format(field="command")),
    "workingDir": (ADMINS, ""),
    "envFrom": ("variables are named one by one", "write spec.runtime.env, with valueFromSecret for secrets"),
    "volumeMounts": ("pods have the model's volume and caches alone", "put files beside the model, or into the image"),
    "volumeDevices": ("pods have the model's volume and caches alone", ""),
    "lifecycle": ("a replica drains by itself", OFFER.format(field="drain")),
    "livenessProbe": ("the engine's own probe is used", OFFER.format(field="probes.liveness")),
    "readinessProbe": ("the engine's own probe is used", OFFER.format(field="probes.readiness")),
    "startupProbe": ("the engine's own probe is used", OFFER.format(field="probes.startup")),
    "securityContext": (RESTRICTED, OFFER.format(field="runAsUser")),
    "terminationMessagePath": ("the operator reads the default one", ""),
    "terminationMessagePolicy": ("the operator sets its own", ""),
    "resizePolicy": ("a change of resources makes a new revision", ""),
    "restartPolicy": ("the engine's container always starts again", ""),
    "stdin": ("an engine reads no input", ""),
    "stdinOnce": ("an engine reads no input", ""),
    "tty": ("an engine reads no input", ""),
}
POD: Why = {
    "initContainers": ("the engine loads the model by itself", "put it on a PersistentVolumeClaim: model.uri pvc://"),
    "ephemeralContainers": ("they are a pod's, not a service's", "kubectl debug"),
    "volumes": ("pods have the model's volume and caches alone", "name a model's claim by model.uri pvc://CLAIM/PATH"),
    "serviceAccountName": (RESTRICTED, "name a Secret with the source's login in spec.model.credentialsSecret"),
    "serviceAccount": (RESTRICTED, "name a Secret with the source's login in spec.model.credentialsSecret"),
    "automountServiceAccountToken": ("no token is ever mounted", ""),
    "affinity": ("nodes are chosen by accelerator", "an admin offers an Accelerator with spec.nodeLabels"),
    "nodeName": ("nodes are chosen by accelerator", "an admin offers an Accelerator with spec.nodeLabels"),
    "schedulerName": ("the cluster's default scheduler is used", ""),
    "topologySpreadConstraints": ("replicas are spread over nodes and zones by themselves", ""),
    "imagePullSecrets": (ADMINS, OFFER.format(field="imagePullSecrets")),
    "priorityClassName": ("a user's priority could evict others", OFFER.format(field="priorityClassName")),
    "priority": ("a user's priority could evict others", OFFER.format(field="priorityClassName")),
    "preemptionPolicy": ("a user's priority could evict others", OFFER.format(field="priorityClassName")),
    "runtimeClassName": ("the node's default runtime is used", ""),
    "securityContext": (RESTRICTED, OFFER.format(field="runAsUser")),
    "hostNetwork": (RESTRICTED, ""),
    "hostPID": (RESTRICTED, ""),
    "hostIPC": (RESTRICTED, "shared memory is given by spec.sharedMemory of the ServingRuntime"),
    "hostUsers": (RESTRICTED, ""),
    "hostAliases": (RESTRICTED, ""),
    "hostname": ("pods are named by the operator", ""),
    "subdomain": ("pods are named by the operator", ""),
    "setHostnameAsFQDN": ("pods are named by the operator", ""),
    "dnsPolicy": ("the cluster's DNS is used", ""),
    "dnsConfig": ("the cluster's DNS is used", ""),
    "terminationGracePeriodSeconds": ("it follows from the drain", OFFER.format(field="drain.timeoutSeconds")),
    "activeDeadlineSeconds": ("a replica serves until it is taken away", ""),
    "restartPolicy": ("the engine's container always starts again", ""),
    "shareProcessNamespace": (RESTRICTED, ""),
    "enableServiceLinks": ("they are off", ""),
    "readinessGates": ("a replica is ready when its engine is", ""),
    "overhead": ("the runtime class has it", ""),
    "os": ("nodes run Linux", ""),
    "resourceClaims": ("devices are claimed by the operator", "an admin offers an Accelerator with spec.device"),
    "schedulingGates": ("pods are scheduled at once", ""),
    "resources": ("the engine's container has the resources", "write spec.runtime.resources"),
    "hostnameOverride": ("pods are named by the operator", ""),
}
_TOKEN = "HF_TOKEN"
_CPU = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?|[0-9]{1,9}m")


def carry_container(draft: Draft, container: Field, gpus: Gpus) -> None:
    """Carry what a user may set of the engine's container, all but its arguments, and say why of the rest."""
    container["name"].built_in("there is one container, the engine's")
    container["ports"].built_in("the engine's own ports are used")
    carry_env(draft, container["env"])
    carry_resources(draft, container["resources"], gpus)
    container.rest_lost(CONTAINER)


def carry_env(draft: Draft, env: Field) -> None:
    """Carry variables that are given plainly or from a Secret; of one that stands twice the last, as in a pod."""
    last = {each["name"].text(): each.path for each in env.items()}
    for each in env.items():
        name, secret = each["name"], each["valueFrom"]["secretKeyRef"]
        if each.said():
            continue
        if last.get(name.text()) != each.path or not name.text():
            each.lost("it stands again below, which counts" if name.text() else "it has no name")
        elif secret["name"].text() and secret["key"].text():
            _secret(draft, each, secret)
        elif each["valueFrom"]:
            each.lost("a variable is given plainly or by a Secret's key", "write its value, or put it into a Secret")
        else:
            _plain(draft, each)


def _plain(draft: Draft, each: Field) -> None:
    place = draft.end("spec", "runtime", "env")
    value = each["value"].value
    if not isinstance(each["value"].value, str | None):
        each.lost("its value is no text", "write it in quotes")
        return
    each["name"].became(*place, "name")
    draft.put((*place, "value"), value or "")
    if each["value"]:
        each["value"].counted(*place, "value")


def _secret(draft: Draft, each: Field, secret: Field) -> None:
    name, key = each["name"].text(), secret["key"].text()
    credentials = ("spec", "model", "credentialsSecret")
    if name == key == _TOKEN and draft.got(credentials) is None:
        secret["name"].became(*credentials)
        each["name"].counted(*credentials, note="the key is HF_TOKEN, which model.credentialsSecret reads")
        secret["key"].counted(*credentials)
    else:
        place = draft.end("spec", "runtime", "env")
        each["name"].became(*place, "name")
        secret["name"].became(*place, "valueFromSecret", "name")
        secret["key"].became(*place, "valueFromSecret", "key")
    secret["optional"].lost("a Secret that is named must be there", "leave the variable out where it is not")


def carry_resources(draft: Draft, resources: Field, gpus: Gpus) -> None:
    """Carry CPU (the request), memory (the limit) and GPUs."""
    requests, limits = resources["requests"], resources["limits"]
    place = ("spec", "runtime", "resources")
    _quantity(requests["cpu"] or limits["cpu"], *place, "cpu")
    _quantity(limits["memory"] or requests["memory"], *place, "memory")
    if not limits["cpu"].said():
        limits["cpu"].lost("no CPU limit is set: a throttled engine stalls its GPU")
    if requests["memory"] and not requests["memory"].said():
        if requests["memory"].value == limits["memory"].value:
            requests["memory"].counted(*place, "memory")
        else:
            requests["memory"].lost("memory is requested as it is limited, so that no engine is evicted for it")
    for part in (limits, requests):
        for name, each in part.fields():
            if is_gpu(name):
                gpus.limits.append(each)
            elif name.startswith("ephemeral-storage"):
                each.lost("caches are kept on the node's disk without a request")
            elif not each.said():
                each.lost("only CPU, memory and accelerators are asked for", "an admin offers an Accelerator for it")
    resources["claims"].lost("devices are claimed by the operator", "an admin offers an Accelerator with spec.device")


def _quantity(given: Field, *target: str) -> None:
    """CPU and memory as text; fit refuses what ours does not take."""
    if isinstance(given.value, int | str) and not isinstance(given.value, bool) and given.value != "":
        given.became(*target, value=str(given.value))


def carry_pod(draft: Draft, pod: Field, gpus: Gpus) -> None:
    """Carry tolerations and what a node selector says of accelerators, and say why of the rest."""
    for each in pod["tolerations"].items():
        _toleration(draft, each)
    read_selector(gpus, pod["nodeSelector"])
    known = {given.path for given, _ in gpus.types} | {given.path for given in gpus.spot}
    for name, each in pod["nodeSelector"].fields():
        if each.path in known:
            continue
        if name == "kubernetes.io/os" and each.value == "linux":
            each.built_in("nodes run Linux")
        else:
            each.lost("nodes are chosen by accelerator", "an admin offers an Accelerator with spec.nodeLabels")
    for each in pod["containers"].items():
        if not each.said():
            each.lost(
                "there is one container, the engine's", "run it as a Deployment of its own, in front of the service"
            )
    pod.rest_lost(POD)


def _toleration(draft: Draft, each: Field) -> None:
    if not each["key"].text():
        each.lost("a toleration of every taint would run on nodes that are about to go", "name the taint's key")
        return
    place = draft.end("spec", "tolerations")
    each["key"].became(*place, "key")
    # Left out it is Equal in a pod, and Exists in ours.
    operator = each["operator"].text() or "Equal"
    draft.put((*place, "operator"), operator)
    if each["operator"].text():
        each["operator"].counted(*place, "operator")
    if operator == "Equal":
        draft.put((*place, "value"), each["value"].text())
    for name in ("value", "effect"):
        if each[name].text():
            each[name].became(*place, name)
    if not each["value"].said():
        each["value"].built_in("it is empty")
    if not each["effect"].said():
        each["effect"].built_in("it is empty: any effect")
    each["tolerationSeconds"].lost("a toleration holds for as long as the taint does")
