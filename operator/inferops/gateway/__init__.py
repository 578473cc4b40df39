"""The built-in gateway: OpenAI and Open Inference requests to the replicas of InferenceServices, without state."""
