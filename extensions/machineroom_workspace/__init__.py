"""A workspace's server: JupyterHub's single-user server, started without what it never uses here."""
