"""The command line. `./machineroom --help` shows it; each group of commands is a module here."""
