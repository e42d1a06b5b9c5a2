"""What every part of the exchange shares: the service, names, places and times."""

from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from dateutil.tz import gettz
from jupyter_core.paths import jupyter_data_dir
from nbgrader.exchange.abc import Exchange as ABCExchange
from nbgrader.utils import ignore_patterns
from traitlets import Unicode, default

from ..archive import ArchiveError, Ignore
from ..service import Service, ServiceError

Receipt = dict[str, Any]
"""What the service answers for a submission."""


class Exchange(ABCExchange):
    """An exchange without shared folders. A failure of the service is an ExchangeError with its sentence."""

    cache = Unicode(help="Where copies of one's own submissions are kept.").tag(config=True)

    @default("cache")
    def _cache_default(self) -> str:
        return str(Path(jupyter_data_dir(), "nbgrader_cache"))

    @cached_property
    def service(self) -> Service:
        """The service, with the token of whoever runs this."""
        return Service()

    def start(self) -> Any:
        """Do it, as the caller's token allows."""
        try:
            return super().start()
        except (ServiceError, ArchiveError) as error:
            return self.fail(str(error))

    @property
    def course(self) -> str:
        """The course's id; without one this fails."""
        if not self.coursedir.course_id or self.coursedir.course_id == "*":
            self.fail("No course was named. Say which one with --course COURSE.")
        return self.coursedir.course_id

    @property
    def assignment(self) -> str:
        """The assignment's name; without one this fails."""
        if not self.coursedir.assignment_id:
            self.fail("No assignment was named. Say which one with --assignment ASSIGNMENT.")
        return self.coursedir.assignment_id

    def folder(self, course: str, assignment: str) -> Path:
        """Where a student works on an assignment: `<course>/<assignment>` in the home folder."""
        return Path(self.assignment_dir).resolve() / course / assignment

    def copy_of(self, receipt: Receipt) -> Path:
        """Where the copy of a submission of one's own is kept."""
        name = f"{receipt['student']}+{receipt['assignment']}+{self.stamp(receipt)}"
        return Path(self.cache) / receipt["course"] / name

    def stamp(self, receipt: Receipt) -> str:
        """When the service received a submission, as nbgrader writes it in `timestamp.txt`."""
        zone = gettz(self.timezone)
        if zone is None:
            self.fail(f"There is no time zone '{self.timezone}'. Set Exchange.timezone to one, such as UTC.")
        time = datetime.fromisoformat(receipt["timestamp"])
        return time.astimezone(zone).strftime(self.timestamp_format)

    def ids(self, assignment: str, **wanted: str) -> dict[tuple[str, str], str]:
        """The ids of submissions, by student and what `timestamp.txt` says of each."""
        receipts = self.service.json(
            "GET", "courses", self.course, "assignments", assignment, "submissions", params=wanted
        )
        return {(receipt["student"], self.stamp(receipt)): receipt["id"] for receipt in receipts}

    @property
    def limit(self) -> int:
        """Bytes that a folder may hold: CourseDirectory.max_dir_size."""
        return 1000 * self.coursedir.max_dir_size

    @property
    def ignore(self) -> Ignore:
        """What stays behind when a folder travels: CourseDirectory.ignore, include and max_file_size."""
        return ignore_patterns(
            exclude=self.coursedir.ignore,
            include=self.coursedir.include,
            max_file_size=self.coursedir.max_file_size,
            log=self.log,
        )
