"""The OpenStack driver: a machine is a server of a cloud.

`driver` is the driver; `objects`, `userdata` and `words` are what it says and hears, tested without a
cloud; `api` talks to the cloud, `watch` looks at all servers at once, `parts` are what a server needs.
The client library is slow to load, so nobody imports `driver` who has no such machine.
"""
