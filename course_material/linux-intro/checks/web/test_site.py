"""nginx on `web`, asked from outside as a visitor would."""

import urllib.error
import urllib.request

import pytest


def get(machine, address, path):
    """Status and text of a page. `address` is the machine's, as a visitor sees it."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
            return answer.status, answer.read(65536).decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read(65536).decode(errors="replace")
    except OSError as error:
        raise AssertionError(
            f"http://web{path} cannot be reached: {getattr(error, 'reason', error)}"
        ) from None


@pytest.fixture
def site(s):
    return lambda path: get(s, s.ip, path)


@pytest.mark.task("nginx-site", title="A site with nginx")
@pytest.mark.hint("`nginx -t` checks the configuration, `systemctl reload nginx` makes it count.")
def test_front_page(site):
    """The front page says `Llama shop`, and is not nginx's own"""
    status, text = site("/")
    assert status == 200, f"the front page answers with status {status}"
    assert "Llama shop" in text, f"the front page begins so: {text[:60]!r}"


@pytest.mark.task("nginx-site")
@pytest.mark.points(2)
@pytest.mark.hint("`scp deploy@db:/srv/data/stock.csv …`; can the user www-data read the copy?")
def test_stock_list(site, machines):
    """/stock.csv is the list that lies on db"""
    right = machines["db"].run("cat /srv/data/stock.csv").stdout
    assert right, "db has no /srv/data/stock.csv any more: reset it"
    status, text = site("/stock.csv")
    assert status == 200, f"/stock.csv answers with status {status}"
    assert text == right, f"/stock.csv is not the list on db; it begins so: {text[:60]!r}"


@pytest.mark.task("nginx-site")
@pytest.mark.hint(
    "`root` in a `server` block says where the files lie; `nginx -T` prints all that is in force."
)
def test_files_lie_in_srv(machine):
    """The pages lie in /srv/www, and nginx starts at boot"""
    assert machine.file("/srv/www/index.html").is_file, "there is no /srv/www/index.html"
    config = machine.run("nginx -T 2>/dev/null").stdout
    assert "/srv/www" in config, "nginx's configuration does not speak of /srv/www"
    seen = machine.run("systemctl is-enabled nginx").stdout.strip()
    assert seen == "enabled", f"systemctl is-enabled nginx says: {seen}"


@pytest.mark.task("front-door", title="The front door")
@pytest.mark.points(2)
@pytest.mark.hint(
    "`location /hello/ { proxy_pass …; }`; whether proxy_pass ends in a slash makes a difference."
)
def test_hello_through_nginx(site):
    """http://web/hello/ is the Django site"""
    status, text = site("/hello/")
    assert status == 200, f"/hello/ on port 80 answers with status {status}"
    assert "Hello, llama" in text, f"/hello/ on port 80 begins so: {text[:60]!r}"


@pytest.mark.task("front-door")
@pytest.mark.hint(
    "Run it as a unit, as you did with the heartbeat. A program that a shell started ends with the shell."
)
def test_django_is_a_service(machine):
    """The Django site is run by a unit llama.service that starts at boot, and not as root"""
    active = machine.run("systemctl is-active llama").stdout.strip()
    assert active == "active", f"systemctl is-active llama says: {active}"
    enabled = machine.run("systemctl is-enabled llama").stdout.strip()
    assert enabled == "enabled", f"systemctl is-enabled llama says: {enabled}"
    pid = machine.check_output("systemctl show -P MainPID llama")
    who = machine.check_output(f"stat -c %U /proc/{pid}")
    assert who != "root", "it runs, but as root: whoever finds a hole in the site then owns the machine"
