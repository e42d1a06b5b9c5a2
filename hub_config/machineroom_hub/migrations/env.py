"""Run by Alembic, for each of its commands."""

from alembic import context

from machineroom_hub.accounts import Account
from machineroom_hub.db import Base
from machineroom_hub.links import LoginLink
from machineroom_hub.service import models
from machineroom_hub.service.helping import Hand
from machineroom_hub.service.idle import Sleep
from machineroom_hub.service.visits import Visit
from machineroom_hub.workshops.models import Workshop

tables = (Account, LoginLink, Sleep, Hand, Visit, Workshop, models.Audit)
assert {table.metadata for table in tables} == {Base.metadata}  # every table is imported

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
