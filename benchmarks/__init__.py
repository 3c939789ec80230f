"""What the router adds, measured against a proxy of the same stack that does nothing.

`python -m benchmarks` runs everything; docs/benchmarks.md says what the figures mean.
"""
