"""Databases: made, filled with their tables, each with a user of its own."""

from pathlib import Path

from .settings import Settings
from .shell import run, side_by_side, tell

DATABASES = {
    "keystone": "keystone",
    "glance": "glance",
    "placement": "placement",
    "nova": "nova",
    "nova_api": "nova",
    "nova_cell0": "nova",
    "neutron": "neutron",
}
"""Database: whose it is."""

FILLED = Path("/var/lib/mysql/openstack-aio-filled")
"""Is there once all tables are."""
_DATABASE = "{scheme}://{username}:{password}@{hostname}/"
_MESSAGES = "{scheme}://{username}:{password}@{hostname}:{port}/"
"""How Nova finds what belongs to a cell: in the words of its configuration, so without a password."""


def make(settings: Settings) -> None:
    """Databases and their users. Idempotent."""
    lines = []
    for database, service in DATABASES.items():
        password = settings.secrets[f"{service}_db"]
        lines.append(f"CREATE DATABASE IF NOT EXISTS {database} CHARACTER SET utf8mb3;")
        for host in ("localhost", "127.0.0.1"):
            user = f"{service}@'{host}'"
            lines.append(f"CREATE USER IF NOT EXISTS {user} IDENTIFIED BY '{password}';")
            lines.append(f"ALTER USER {user} IDENTIFIED BY '{password}';")
            lines.append(f"GRANT ALL PRIVILEGES ON {database}.* TO {user};")
    run("mariadb", text="\n".join(lines))


def fill() -> None:
    """The tables of every service, and Nova's two cells, where the image has not brought them. Idempotent."""
    if FILLED.exists():
        return
    side_by_side(_keystone, _nova, _neutron, _glance_and_placement)


def _keystone() -> None:
    run("keystone-manage", "db_sync", user="keystone")
    tell(22, "Keystone has its tables")


def _glance_and_placement() -> None:
    run("placement-manage", "db", "sync", user="placement")
    run("glance-manage", "db_sync", user="glance")
    tell(30, "Placement and Glance have their tables")


def _nova() -> None:
    run("nova-manage", "api_db", "sync", user="nova")
    run("nova-manage", "cell_v2", "map_cell0", f"--database_connection={_DATABASE}nova_cell0", user="nova")
    if "cell1" not in run("nova-manage", "cell_v2", "list_cells", user="nova"):
        where = (f"--database_connection={_DATABASE}nova", f"--transport-url={_MESSAGES}")
        run("nova-manage", "cell_v2", "create_cell", "--name=cell1", *where, user="nova")
    run("nova-manage", "db", "sync", user="nova")
    tell(42, "Nova has its tables")


def _neutron() -> None:
    files = ("/etc/neutron/neutron.conf", "/etc/neutron/plugins/ml2/ml2_conf.ini")
    given = [word for file in files for word in ("--config-file", file)]
    run("neutron-db-manage", *given, "upgrade", "heads", user="neutron")
    tell(46, "Neutron has its tables")
