"""The control plane: the command line, the host it stands on, JupyterHub's configuration, and the service."""
