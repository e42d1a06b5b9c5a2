"""While the image is made: every service's empty tables, so that no machine makes them at its first boot.

Nothing that is secret gets into them: passwords are made up for the while, and what Nova keeps of how its
cells are reached has none in it.
"""

import subprocess

from . import database, settings
from .shell import run, until


def main() -> None:
    """Start the database, make and fill what is to be in it, and stop it."""
    run("install", "-d", "-o", "mysql", "-g", "mysql", "/run/mysqld")
    server = subprocess.Popen(["mariadbd", "--user=mysql"])
    try:
        until(_answers, 300, "MariaDB")
        own = settings.read()
        settings.configure(own)
        database.make(own)
        database.fill()
        run("mariadb-admin", "shutdown")
        server.wait(120)
    finally:
        server.kill()
    settings.SECRETS.unlink()
    database.FILLED.touch()


def _answers() -> bool:
    return subprocess.run(["mariadb-admin", "ping"], capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    main()
