"""Rosters: lists of people as registrars export them, made into accounts and enrolments."""

from .planning import Change, Kind, Plan, carry_out, plan
from .reading import FIELDS, RosterError, Sheet, read

__all__ = ["FIELDS", "Change", "Kind", "Plan", "RosterError", "Sheet", "carry_out", "plan", "read"]
