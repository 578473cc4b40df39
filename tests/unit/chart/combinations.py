"""Values of the chart that go together, from none to all."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
DIGEST = f"sha256:{'0123456789abcdef' * 4}"
OFFERED = ("--api-versions", "serving.inferops.dev/v1alpha1")
RUNTIME = {"engine": "vllm", "image": "registry.example.com/vllm:1"}
ACCELERATOR: Json = {
    "nodeLabels": [{"key": "example.com/gpu", "values": ["x"]}],
    "memoryGiB": 80,
    "bandwidthGBps": 3350,
    "tflops": {"bf16": 990},
}

POD: Json = {
    "extraArgs": ["--log-level=debug"],
    "extraEnv": [{"name": "INFEROPS_X", "value": "1"}],
    "extraVolumes": [{"name": "more", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
    "serviceAccount": {"create": True, "name": "somebody", "annotations": {"example.com/role": "it"}},
    "podDisruptionBudget": {"maxUnavailable": "25%"},
    "podSecurityContext": {"runAsUser": 1000660000},  # as OpenShift hands them out
    "livenessProbe": {"initialDelaySeconds": 7},
    "readinessProbe": {"timeoutSeconds": 9},
    "priorityClassName": "system-cluster-critical",
    "nodeSelector": {"pool": "system"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{}]}}},
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
    "podAnnotations": {"example.com/note": "1"},
    "podLabels": {"team": "ml"},
}
MANY: dict[str, Json] = {
    "nothing set": {},
    "small": {
        "gateway": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "tests": {"enabled": False},
        "crds": {"enabled": False},
        "rbac": {"create": False, "aggregate": False},
        "operator": {"serviceAccount": {"create": False, "name": "theirs"}, "podDisruptionBudget": {"enabled": False}},
    },
    "everything": {
        "image": {"registry": "registry.example.com:5000/ml", "tag": "1.2.3", "digest": DIGEST, "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "registry"}],
        "commonLabels": {"cost-center": "42"},
        "crds": {"keep": False},
        "operator": {
            "replicas": 3,
            "workers": 64,
            "hub": "off",
            "gateway": "infra/public",
            "webhookHosts": ["*.svc", "hooks.example.com"],
            "prometheus": "http://prometheus.monitoring.svc:9090",
            "notify": {"secret": "told", "key": "who"},
            "members": {"suspectAfter": "1m", "lostAfter": "10m", "stableAfter": "1m30s"},
            "clusterProfileProviders": {"configMap": "providers"},
            "logLevel": "debug",
            "logFormat": "json",
            "otlpEndpoint": "http://collector.monitoring.svc:4318",
            **POD,
        },
        "gateway": {
            "drain": {"delaySeconds": 10, "timeoutSeconds": 900},
            "accessLog": "errors",
            "hosts": ["inference.example.com"],
            "keys": {"namespaces": ["team-a", "team-b"]},
            "service": {"annotations": {"example.com/x": "y"}},
            "autoscaling": {"enabled": True, "minReplicas": 3, "maxReplicas": 30, "behavior": {"scaleDown": {}}},
            "public": {"enabled": True, "port": 443, "loadBalancerSourceRanges": ["10.0.0.0/8"]},
            "logLevel": "warning",
            "logFormat": "json",
            **POD,
            "serviceAccount": {"name": "somebody-else"},
        },
        "networkPolicy": {
            "outsidePorts": [443, 16443],
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
            "requestsFrom": [{"namespaceSelector": {}}],
            "operatorEgress": [{"ports": [{"port": 9090}]}],
            "gatewayEgress": [{"ports": [{"port": 8443}]}],
        },
        "monitoring": {
            "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}, "interval": "30s"},
            "podMonitor": {"enabled": True, "interval": "10s"},
            "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
            "dashboards": {"enabled": True, "annotations": {"folder": "ML"}},
        },
        "runtimes": {"ours": RUNTIME},
        "accelerators": {"nvidia-x": ACCELERATOR},
        "member": {"enabled": True},
        "ocm": {"hub": {"enabled": True, "clusters": ["eu", "us"]}, "agent": True},
    },
    "two namespaces": {
        "watchNamespaces": ["team-a", "team-b"],
        "rbac": {"capacity": True},
        "gateway": {"keys": {"namespaces": ["team-a"]}},
        "monitoring": {"podMonitor": {"enabled": True}},
        "member": {"enabled": True},
        "ocm": {"hub": {"enabled": True}},
    },
}
