"""Machines: what a lab is, the drivers that make it, and the JupyterHub spawner that brings it.

Data flows one way: `course` and `lab` read what an author wrote; `spec` turns it into pure
descriptions; `drivers` make them real; `spawner` does so when a student logs in.
"""
