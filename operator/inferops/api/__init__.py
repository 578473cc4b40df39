"""The custom resources: pydantic models from which the CRDs and the reference are generated."""

GROUP = "serving.inferops.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
