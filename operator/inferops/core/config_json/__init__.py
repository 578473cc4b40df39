"""A model's config.json, as Hugging Face repositories have it, read into ModelFacts. Pure: no file, no network."""

from inferops.core.config_json.fields import BadConfig
from inferops.core.config_json.parse import facts_of

__all__ = ["BadConfig", "facts_of"]
