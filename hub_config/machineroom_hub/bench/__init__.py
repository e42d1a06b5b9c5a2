"""Figures beside stock's, from the same machine in the same run: `./machineroom bench`."""
