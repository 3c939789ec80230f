"""The embedded upstream: a scripted OpenRouter and Ollama on one port.

`make demo`, the tests and the benchmarks all talk to it. Its answers depend on the request alone,
it misbehaves on demand (`directives.py`), and its words say that no model wrote them.
"""
