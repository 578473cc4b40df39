"""inferops: a Kubernetes operator for inference deployments."""
