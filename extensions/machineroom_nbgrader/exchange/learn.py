"""The student's side: fetch, submit, fetch feedback."""

import json
import secrets
import shutil
import time
from pathlib import Path
from typing import IO

from nbgrader.exchange import abc
from nbgrader.utils import find_all_notebooks

from ..archive import pack, replace, unpacked
from ..service import ServiceError
from .base import Exchange, Receipt

PATIENCE = 45
"""Seconds for which handing in is tried again: longer than it takes to restart the service."""


class ExchangeFetchAssignment(Exchange, abc.ExchangeFetchAssignment):
    """Fetch a released assignment into `<course>/<assignment>`."""

    def init_src(self) -> None:
        self._release = ("courses", self.course, "assignments", self.assignment, "release")

    def init_dest(self) -> None:
        self._dest = self.folder(self.course, self.assignment)
        if self._dest.is_dir() and not self.replace_missing_files:
            self.fail(
                f"You already have {self.course}/{self.assignment}. To get a file back that you lost, "
                "fetch with --replace; to start afresh, rename or delete the folder first."
            )

    def copy_files(self) -> None:
        with (
            self.service.stream("GET", *self._release) as answer,
            unpacked(answer.iter_bytes(), self._dest, self.limit) as folder,
        ):
            if self._dest.is_dir():
                self._add_missing(folder)
            else:
                replace(folder, self._dest)
        self.log.info("Fetched %s/%s into %s", self.course, self.assignment, self._dest)

    def _add_missing(self, folder: Path) -> None:
        for path in sorted(folder.rglob("*")):
            dest = self._dest / path.relative_to(folder)
            if dest.exists():
                continue
            self.log.warning("Replacing missing '%s'", dest)
            if path.is_dir():
                dest.mkdir()
            else:
                shutil.copy(path, dest)


class ExchangeSubmit(Exchange, abc.ExchangeSubmit):
    """Hand in the assignment's folder. The service says when that was, and runs the checks."""

    def init_src(self) -> None:
        if self.coursedir.student_id not in ("", "*"):
            self.fail("You hand in as yourself; leave --student out.")
        # `nbgrader submit path/to/ps1` is documented to mean the assignment ps1
        self.coursedir.assignment_id = Path(self.assignment).name
        self._source = self.folder(self.course, self.assignment)
        if not self._source.is_dir():
            self.fail(f"There is no folder {self._source} to submit. Fetch the assignment first.")

    def init_dest(self) -> None:
        self._place = ("courses", self.course, "assignments", self.assignment)

    def copy_files(self) -> None:
        self._compare_notebooks()
        self.log.info("Submitting %s; checks on your machine may take a moment", self._source)
        with pack(self._source, self.ignore, self.limit) as archive:
            receipt = self._send(archive)
            archive.seek(0)
            self._keep(receipt, archive.read())
        self._hand_over(receipt)
        self.log.info("Submitted as: %s %s %s", self.course, self.assignment, self.stamp(receipt))
        for report in receipt.get("checks") or ():
            self.log.info("%s: %g of %g points", report["task"], report["earned"], report["points"])
        if receipt.get("problem"):
            self.log.warning("%s", receipt["problem"])

    def _send(self, archive: IO[bytes]) -> Receipt:
        """Hand it in; again and again if nobody answers: the key keeps it one submission."""
        headers = {"Content-Type": "application/gzip", "Idempotency-Key": secrets.token_hex(16)}
        end = time.monotonic() + PATIENCE
        while True:
            archive.seek(0)
            try:
                receipt: Receipt = self.service.json(
                    "POST", *self._place, "submissions", content=archive, headers=headers
                )
                return receipt
            except ServiceError as error:
                if error.status or time.monotonic() > end:
                    raise
                self.log.warning("The service does not answer; trying again")
                time.sleep(2)

    def _hand_over(self, receipt: Receipt) -> None:
        """Lay the receipt where the student finds it: `submissions/<id>.json` in the home folder."""
        path = self.folder("submissions", f"{receipt['id']}.json")
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(receipt, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        saved = ", ".join(machine["machine"] for machine in receipt.get("machines", ()))
        self.log.info("Your receipt is %s%s", path, f"; saved with it: {saved}" if saved else "")
        if receipt["late"]:
            lost = f"; {receipt['penalty']:g} %% of the points are lost" if receipt["penalty"] else ""
            self.log.warning("It is %.1f hours late" + lost, receipt["late"] / 3600)

    def _keep(self, receipt: Receipt, archive: bytes) -> None:
        dest = self.copy_of(receipt)
        with unpacked([archive], dest, self.limit) as folder:
            (folder / "timestamp.txt").write_text(self.stamp(receipt))
            replace(folder, dest)

    def _compare_notebooks(self) -> None:
        with (
            self.service.stream("GET", *self._place, "release") as answer,
            unpacked(answer.iter_bytes(), Path(self.cache) / "release", self.limit) as folder,
        ):
            expected = set(find_all_notebooks(str(folder)))
        missing = sorted(expected - set(find_all_notebooks(str(self._source))))
        if not missing:
            return
        sentence = f"{self._source} lacks {', '.join(missing)}. Fetch with --replace to get them back."
        if self.strict:
            self.fail(f"Not submitted: {sentence}")
        self.log.warning("%s", sentence)


class ExchangeFetchFeedback(Exchange, abc.ExchangeFetchFeedback):
    """Fetch the feedback of one's submissions into `<course>/<assignment>/feedback/<time>/`."""

    def init_src(self) -> None:
        self._receipts = self.service.json(
            "GET", "courses", self.course, "assignments", self.assignment, "submissions"
        )

    def init_dest(self) -> None:
        self._dest = self.folder(self.course, self.assignment) / "feedback"

    def copy_files(self) -> None:
        found = 0
        for receipt in self._receipts:
            dest = self._dest / self.stamp(receipt)
            try:
                with (
                    self.service.stream("GET", "submissions", receipt["id"], "feedback") as answer,
                    unpacked(answer.iter_bytes(), dest, self.limit) as folder,
                ):
                    replace(folder, dest)
            except ServiceError as error:
                if error.status != 404:
                    raise
                self.log.info("No feedback yet for the submission of %s", self.stamp(receipt))
            else:
                found += 1
                self.log.info("Fetched feedback: %s", dest)
        if not found:
            self.log.warning("There is no feedback for %s/%s yet", self.course, self.assignment)
