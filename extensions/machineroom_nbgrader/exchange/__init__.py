"""nbgrader's exchange over the Machineroom service: the eight classes of its ExchangeFactory."""

from .base import Exchange
from .grade import ExchangeCollect, ExchangeReleaseAssignment, ExchangeReleaseFeedback
from .learn import ExchangeFetchAssignment, ExchangeFetchFeedback, ExchangeSubmit
from .list import ExchangeList

__all__ = [
    "Exchange",
    "ExchangeCollect",
    "ExchangeFetchAssignment",
    "ExchangeFetchFeedback",
    "ExchangeList",
    "ExchangeReleaseAssignment",
    "ExchangeReleaseFeedback",
    "ExchangeSubmit",
]
