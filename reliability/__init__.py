"""What the router loses when it is killed, cut off, starved and confused: counted, not believed.

    python -m reliability kills --count 1000 --seed 1

Each command runs real routers against the scripted upstream, compares what upstream and clients saw
with the rows, prints a summary, and fails if one row is missing or untrue. docs/reliability.md says
what was measured.
"""
