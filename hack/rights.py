"""The rights that our ServiceAccounts were seen to use, beside those that the manifests give them.

`python hack/rights.py FOLDER` judges audit logs of the bench's clusters; `hack/cluster_tests.py` does so after all
modules of tests/cluster. RBAC lets nobody do more than is given, so what is found is what is given and never used: a
right to take away, or to name in `UNSEEN` with the reason. What the bench itself gives beside the manifests shows the
other way round: as used and given by none of them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parent.parent
SYSTEM = "system:serviceaccount:inferops-system"
OPERATOR, GATEWAY, HUB = f"{SYSTEM}:inferops-operator", f"{SYSTEM}:inferops-gateway", f"{SYSTEM}:inferops-hub"
OCM_AGENT = "system:serviceaccount:default:klusterlet-work-sa"  # of tests/cluster/ocmagent.py
# Whose the roles of a file are. Some are bound by nobody but the admin, so bindings do not tell.
FILES = {
    "install/rbac.yaml": OPERATOR,
    "install/gateway.yaml": GATEWAY,
    "install/ocm.yaml": OPERATOR,
    "member/rbac.yaml": HUB,
    "member/ocm.yaml": OCM_AGENT,
}
ROLES = ("ClusterRole", "Role")
EVERYBODY = frozenset({"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"})


class Right(NamedTuple):
    """One verb on one resource, for one account."""

    account: str
    verb: str
    group: str  # empty: the core group
    resource: str  # the plural, with /subresource where there is one
    name: str = ""  # of the one object that it is for; empty: of all

    def __str__(self) -> str:
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        whose = self.account.rpartition(":")[2]
        return f"{whose}: {self.verb} {what}{f' of name {self.name}' if self.name else ''}"

    def covers(self, used: Right) -> bool:
        return self[:4] == used[:4] and self.name in ("", used.name)


TAKEN = "finds out whose a name is that somebody took, as of every child; tests take those of a few kinds"
GONE = "of a revision that goes, as of every child; the tests end such services by deleting them"
# Given, and needed, though the tests may not come to use it.
UNSEEN: dict[Right, str] = {
    Right(OPERATOR, "update", "serving.inferops.dev", "inferenceservices/finalizers"): (
        "asked for by the admission plugin OwnerReferencesPermissionEnforcement, which OpenShift has on"
    ),
    Right(OPERATOR, "get", "discovery.k8s.io", "endpointslices"): TAKEN,
    Right(OPERATOR, "get", "gateway.networking.k8s.io", "httproutes"): TAKEN,
    Right(OPERATOR, "get", "inference.networking.k8s.io", "inferencepools"): TAKEN,
    Right(OPERATOR, "get", "leaderworkerset.x-k8s.io", "leaderworkersets"): TAKEN,
    Right(OPERATOR, "get", "multicluster.x-k8s.io", "serviceexports"): TAKEN,
    Right(OPERATOR, "get", "resource.k8s.io", "resourceclaimtemplates"): TAKEN,
    Right(OPERATOR, "get", "serving.inferops.dev", "inferenceservices"): TAKEN,
    Right(HUB, "get", "serving.inferops.dev", "inferenceservices"): TAKEN,
    Right(OPERATOR, "delete", "inference.networking.k8s.io", "inferencepools"): GONE,
    Right(OPERATOR, "delete", "leaderworkerset.x-k8s.io", "leaderworkersets"): GONE,
    Right(OPERATOR, "delete", "resource.k8s.io", "resourceclaimtemplates"): GONE,
    Right(OCM_AGENT, "delete", "serving.inferops.dev", "inferenceclusters"): "when a cluster leaves, after the tests",
}


@dataclass(frozen=True)
class Findings:
    """What is wrong with the rights."""

    unused: tuple[Right, ...]  # given and not used
    beyond: tuple[Right, ...]  # used and given by no manifest
    stale: tuple[Right, ...]  # named as unseen, and not given

    def __iter__(self) -> Iterator[str]:
        yield from (f"{each}: given and never used; take it out of the manifest" for each in self.unused)
        yield from (f"{each}: used, and given by no manifest" for each in self.beyond)
        yield from (f"{each}: not given; take it out of UNSEEN in hack/rights.py" for each in self.stale)


def granted(objects: Iterable[dict[str, Any]], account: str) -> set[Right]:
    """What the roles among these objects give."""
    return {
        Right(account, verb, group, resource, name)
        for each in objects
        if each["kind"] in ROLES
        for rule in each["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def granted_by(manifests: Path = ROOT / "manifests") -> set[Right]:
    """What the manifests of operator, gateway and members give."""
    return {
        right
        for file, account in FILES.items()
        for right in granted(yaml.safe_load_all((manifests / file).read_text()), account)
    }


def used(lines: Iterable[str]) -> set[Right]:
    """What an audit log shows our accounts to have used. A line that is still being written is left out."""
    ours = {*FILES.values()}
    found: set[Right] = set()
    for line in lines:
        if line.endswith("\n") and any(account in line for account in ours):
            event = json.loads(line)
            if event["user"].get("username") in ours and _allowed(event):
                found.update(_rights(event))
    return found


def _allowed(event: dict[str, Any]) -> bool:
    decision: str = event.get("annotations", {}).get("authorization.k8s.io/decision", "")
    return decision == "allow"


def _rights(event: dict[str, Any]) -> Iterator[Right]:
    what = event.get("objectRef", {})
    resource = "/".join(filter(None, (what.get("resource", ""), what.get("subresource", ""))))
    if resource and resource not in EVERYBODY:
        account, group = event["user"]["username"], what.get("apiGroup", "")
        verbs = [event["verb"]]
        if event["verb"] == "patch" and event.get("responseStatus", {}).get("code") == 201:
            verbs.append("create")  # server-side apply of what was not there asks for both
        yield from (Right(account, verb, group, resource, what.get("name", "")) for verb in verbs)


def used_in(folder: Path) -> set[Right]:
    """What all logs below a folder show."""
    found: set[Right] = set()
    for log in folder.rglob("*.log"):
        with log.open() as lines:
            found |= used(lines)
    return found


def compare(given: set[Right], seen: set[Right], excused: Iterable[Right] = UNSEEN) -> Findings:
    """What is given beside what was used."""
    excused, idle = set(excused), {each for each in given if not any(each.covers(one) for one in seen)}
    beyond = {one._replace(name="") for one in seen if not any(each.covers(one) for each in given)}
    return Findings(*(tuple(sorted(each)) for each in (idle - excused, beyond, excused - given)))


def judge(folder: Path, *, whole: bool) -> list[str]:
    """What is wrong by the logs in `folder`, one sentence each. Only of a whole run is it known what nothing uses."""
    found = compare(granted_by(), used_in(folder))
    return list(found) if whole else list(Findings((), found.beyond, ()))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="with audit logs, such as CONTROLPLANE_AUDIT_LOGS named to the bench")
    wrong = judge(parser.parse_args(arguments).folder, whole=True)
    print("\n".join(wrong) or "rights: every one that is given was used")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
