"""Root'n'Roll's example, in its own form: the fixture `s`, `s.run(…).succeeded`, `s.ip`."""

from urllib.request import urlopen

import pytest

pytestmark = [pytest.mark.task("hello-llama", title="Hello, llama")]


@pytest.mark.hint("On Debian the package is called python3-django.")
def test_django_installed(s):
    """Django is installed"""
    assert s.run('python3 -c "import django"').succeeded, "Django is not installed"


@pytest.mark.hint("`startproject` makes manage.py, in the folder that you name last.")
def test_project_exists(s):
    """There is a Django project in /srv/llama"""
    assert s.run("test -f /srv/llama/manage.py").succeeded, "/srv/llama/manage.py: file not found"


@pytest.mark.points(3)
@pytest.mark.hint(
    "`runserver 0.0.0.0:8080` listens to everybody, not only to web itself; "
    "ALLOWED_HOSTS says by which names."
)
def test_site_says_hello(s):
    """The site on port 8080 answers "Hello, llama" """
    try:
        page = urlopen("http://" + s.ip + ":8080/", timeout=5).read(65536).decode(errors="replace")
    except Exception as e:
        assert False, "Could not open the site on port 8080: " + str(e)  # noqa: B011, PT015, PT017
    assert "Hello, llama" in page, "The site answers, but with something else: " + page[:60]
