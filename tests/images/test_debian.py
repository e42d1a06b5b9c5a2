"""The host's mirrors and proxies are the image's."""

import pytest
from machineroom_hub.images import debian

NONE = (None, None)


@pytest.mark.parametrize(
    ("targets", "codename", "expected"),
    [
        ("", "bookworm", NONE),
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
            ("http://near.example/debian", None),
        ),
        # Before the first update apt knows no origins.
        (
            "Packages trixie main http://near.example/debian/\n",
            "trixie",
            ("http://near.example/debian", None),
        ),
        ("Packages trixie main file:/srv/debian/ Debian\n", "trixie", NONE),
        ("Packages noble main http://archive.example/ubuntu/ Ubuntu\n", "", NONE),
    ],
)
def test_mirrors(targets: str, codename: str, expected: tuple[str | None, str | None]) -> None:
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


def test_without_a_mirror_of_its_own_the_host_takes_mmdebstraps() -> None:
    command = debian.Archive().bootstrap(debian.Path("x.tar"))
    assert command[-1] == "x.tar"
    assert not any("sources" in word for word in command)
