"""The shapes of requests and answers, as pydantic models: what /openapi.json says."""
