"""The machineroom service: machines, checks and the exchange, behind one HTTP API.

It is a process of its own: whatever happens to the hub, consoles, checks and submissions go on.
"""

PREFIX = "/services/machineroom"
"""Where the proxy routes to us; every address of ours begins with it."""
