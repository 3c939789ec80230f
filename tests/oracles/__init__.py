"""What must hold however a test ends: shared by fault tests, restarts and soaks.

Each oracle returns or raises what is wrong; none looks at how the router came to it.
"""
