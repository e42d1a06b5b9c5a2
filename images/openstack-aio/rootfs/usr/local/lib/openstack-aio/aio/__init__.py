"""Makes a working one-node OpenStack of this machine, at its first boot and at every later one."""
