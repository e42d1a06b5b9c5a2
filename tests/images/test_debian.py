"""The host's mirrors and proxies are the image's."""

import pytest
from machineroom_hub.images import debian

DEB = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"


@pytest.mark.parametrize(
    ("targets", "codename", "expected"),
    [
        ("", "bookworm", (DEB, SECURITY)),
        (
            "Packages bookworm main http://near.example/debian/ Debian\n"
            "Packages bookworm-updates main http://near.example/debian/ Debian\n"
            "Packages bookworm-security main https://near.example/security/ Debian\n",
            "bookworm",
            ("http://near.example/debian", "https://near.example/security"),
        ),
        # Somebody else's packages under Debian's suite are not a mirror of Debian.
        (
            "Packages bookworm main http://near.example/debian/ Debian\n"
            "Packages bookworm main https://packages.example/php/ deb.example\n"
            "Translations bookworm main http://wrong.example/ Debian\n"
            "Packages bookworm contrib http://wrong.example/ Debian\n",
            "bookworm",
            ("http://near.example/debian", SECURITY),
        ),
        # Before the first update apt knows no origins.
        (
            "Packages trixie main http://near.example/debian/\n",
            "trixie",
            ("http://near.example/debian", SECURITY),
        ),
        ("Packages trixie main file:/srv/debian/ Debian\n", "trixie", (DEB, SECURITY)),
        ("Packages noble main http://archive.example/ubuntu/ Ubuntu\n", "", (DEB, SECURITY)),
    ],
)
def test_mirrors(targets: str, codename: str, expected: tuple[str, str]) -> None:
    assert debian._mirrors(targets, codename) == expected


def test_the_image_names_the_same_mirror() -> None:
    archive = debian.Archive(
        "http://near.example/debian", options=('Acquire::http::Proxy "http://p:3128/";',)
    )
    command = archive.bootstrap(debian.Path("x.tar"))
    assert "deb http://near.example/debian trixie main" in command
    assert any('Acquire::http::Proxy "http://p:3128/";' in word for word in command)
    assert "URIs: http://near.example/debian\nSuites: trixie\n" in archive.sources
    assert archive.hash != debian.Archive().hash
