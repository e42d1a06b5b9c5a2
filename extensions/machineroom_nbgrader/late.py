"""Being late costs what the course's late policy says, by the service's word of when it was due and came."""

from nbconvert.exporters.exporter import ResourcesDict
from nbformat.notebooknode import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.preprocessors import AssignLatePenalties

from .exchange import Exchange
from .grading import stamp_of


def charge(db_url: str, assignment: str, student: str, notebook: str, percent: float) -> None:
    """Write into the gradebook that so much of a notebook's score is lost."""
    with Gradebook(db_url) as gradebook:
        found = gradebook.find_submission_notebook(notebook, assignment, student)
        found.late_submission_penalty = found.score * percent / 100
        gradebook.db.commit()


class LatePenalty(AssignLatePenalties):
    """nbgrader's own penalty, and in its place the course's, if its late policy takes anything off."""

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> tuple[NotebookNode, ResourcesDict]:
        """Charge for the submission that was collected, with the student's own deadline."""
        nb, resources = super().preprocess(nb, resources)
        where = resources["nbgrader"]
        coursedir = self.parent.parent.coursedir
        exchange = Exchange(coursedir=coursedir, parent=self.parent)
        path = ("courses", exchange.course, "assignments", where["assignment"], "submissions")
        stamp = stamp_of(coursedir, where)
        for receipt in exchange.service.json("GET", *path, params={"student": where["student"]}):
            if exchange.stamp(receipt) == stamp and receipt["penalty"]:
                place = (where["assignment"], where["student"], where["notebook"])
                charge(where["db_url"], *place, receipt["penalty"])
                self.log.warning("%s is late: %g %% are lost", where["student"], receipt["penalty"])
        return nb, resources
