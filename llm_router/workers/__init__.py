"""Several processes on one listening socket: a supervisor, a ledger process, and workers.

The supervisor binds the socket and starts the others, which inherit it; it serves nothing and
opens no database. The ledger process alone writes the database. Workers serve.
"""
