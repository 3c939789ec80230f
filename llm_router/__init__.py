"""A self-hosted router for LLM chat in front of OpenRouter."""

__version__ = "0.1.0"
