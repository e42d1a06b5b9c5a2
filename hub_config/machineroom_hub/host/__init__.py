"""The host that a room stands on: its engine, firewall, packages and processes."""


class HostError(Exception):
    """Something about the host keeps Machineroom from working. The text says what to do."""
