"""Workshops: a short class without accounts made by hand. A code, a name, and one is in.

Seats are accounts (`linux-intro-1-07`), enrolled in the course when the workshop is made, whose
workspaces and machines `keeper` starts ahead of time. A guest who comes to the `desk` with the code
is given one of them. When the workshop is over seats are shut; a while later, removed for good.
"""


class WorkshopError(Exception):
    """What cannot be done with which workshop, and what to do instead."""
