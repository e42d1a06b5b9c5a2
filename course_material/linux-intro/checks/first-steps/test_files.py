"""Files, permissions and text, on the machine `box`."""

import pytest

# --- sort-the-inbox ------------------------------------------------------------------------------


@pytest.mark.task("sort-the-inbox")
@pytest.mark.hint("`mkdir -p` makes a folder and those above it; `mv` takes many files and one folder.")
def test_text_files_are_archived(machine):
    """The three text files have moved to /srv/archive/text"""
    for name in ("plan.txt", "travel.txt", "recipes.txt"):
        there = machine.file(f"/srv/archive/text/{name}")
        assert there.is_file, f"/srv/archive/text holds no file {name}"
        assert not machine.file(f"/srv/inbox/{name}").exists, f"{name} still lies in /srv/inbox too"
        assert there.content_string.startswith("Notes on"), f"{name} is there, but its text has changed"


@pytest.mark.task("sort-the-inbox")
@pytest.mark.hint("`rm` with a pattern, such as `*.tmp`. A pattern passes over names that begin with a dot.")
def test_scratch_files_are_gone(machine):
    """No file that ends in .tmp is left in /srv/inbox, a hidden one included"""
    left = machine.check_output("find /srv/inbox -name '*.tmp' | wc -l")
    assert left == "0", f"find sees {left} files ending in .tmp below /srv/inbox"
    assert machine.file("/srv/inbox/monday.log").exists, "monday.log, which should have stayed, is gone too"


@pytest.mark.task("sort-the-inbox")
@pytest.mark.hint("`cp` keeps the original where it is.")
def test_logs_are_copied(machine):
    """/srv/archive/logs holds copies of the two logs, and the originals are still there"""
    for name in ("monday.log", "tuesday.log"):
        copy = machine.file(f"/srv/archive/logs/{name}")
        assert copy.is_file, f"/srv/archive/logs holds no file {name}"
        original = machine.file(f"/srv/inbox/{name}")
        assert original.exists, f"{name} is no longer in /srv/inbox"
        assert copy.content == original.content, f"the copy of {name} differs from the original"


@pytest.mark.task("sort-the-inbox")
@pytest.mark.hint("`ln -s TARGET NAME`; `ls -l` shows where a symbolic link points.")
def test_latest_is_a_link(machine):
    """/srv/latest is a symbolic link to /srv/archive"""
    link = machine.file("/srv/latest")
    assert link.exists, "there is nothing called /srv/latest, or it points to nothing"
    assert link.is_symlink, "/srv/latest is there, but it is no symbolic link"
    assert link.linked_to == "/srv/archive", f"/srv/latest leads to {link.linked_to}"


# --- right-permissions ---------------------------------------------------------------------------


def mode(machine, path):
    return oct(machine.file(path).mode)[2:]


@pytest.mark.task("right-permissions", title="The right permissions")
@pytest.mark.hint("`stat -c %A FILE` shows the nine letters. What may group and others do?")
def test_diary_is_private(machine):
    """The owner reads and writes diary.txt, and nobody else does anything with it"""
    seen = mode(machine, "/srv/letters/diary.txt")
    assert seen == "600", f"the mode of diary.txt is {seen}"


@pytest.mark.task("right-permissions")
@pytest.mark.hint("Read for all three classes, write for one.")
def test_notice_is_public(machine):
    """Everybody reads notice.txt, only the owner writes it"""
    seen = mode(machine, "/srv/letters/notice.txt")
    assert seen == "644", f"the mode of notice.txt is {seen}"


@pytest.mark.task("right-permissions")
@pytest.mark.hint(
    "A program needs x as well as r. And a folder that anybody may write to protects nothing in it."
)
def test_greet_runs_and_the_folder_is_safe(machine):
    """Everybody can run greet, and only root can change what lies in /srv/letters"""
    said = machine.run("setpriv --reuid=nobody --regid=nogroup --clear-groups /srv/letters/greet")
    assert said.rc == 0, f"when the user nobody runs greet, the answer is: {said.stderr.strip() or said.rc}"
    assert said.stdout.startswith("Good morning"), "greet no longer says what it said"
    for path in ("/srv/letters", "/srv/letters/greet"):
        seen = machine.file(path)
        assert seen.mode & 0o022 == 0, (
            f"{path} has mode {oct(seen.mode)[2:]}: others than its owner may write to it"
        )


# --- ask-the-catalogue ---------------------------------------------------------------------------


def books(machine):
    lines = machine.file("/srv/library/catalogue.csv").content_string.splitlines()
    assert len(lines) == 400, f"the catalogue itself has {len(lines)} lines now: reset the machine"
    return [line.split(";") for line in lines]


def answer(machine, name):
    file = machine.file(f"/root/answers/{name}")
    assert file.is_file, f"there is no file /root/answers/{name}"
    return file.content_string.strip()


@pytest.mark.task("ask-the-catalogue")
@pytest.mark.hint("`grep ';systems$'` keeps the lines that end so; `wc -l` counts them.")
def test_systems_books_are_counted(machine):
    """systems.txt holds the number of books on the shelf `systems`"""
    said = answer(machine, "systems.txt")
    right = sum(book[4] == "systems" for book in books(machine))
    assert said == str(right), f"systems.txt says {said[:40]!r}, which is not their number"


@pytest.mark.task("ask-the-catalogue")
@pytest.mark.points(2)
@pytest.mark.hint("`cut -d';' -f2` keeps the second column; `sort -u` sorts and drops doubles.")
def test_authors_are_listed(machine):
    """authors.txt names every author once, in alphabetical order"""
    said = answer(machine, "authors.txt").splitlines()
    right = sorted({book[1] for book in books(machine)})
    assert len(said) == len(set(said)), f"authors.txt has {len(said)} lines, of which {len(set(said))} differ"
    assert said == sorted(said), "authors.txt is not in alphabetical order"
    assert said == right, f"authors.txt has {len(said)} lines, and they are not the catalogue's authors"


@pytest.mark.task("ask-the-catalogue")
@pytest.mark.hint("`sort | uniq -c | sort -rn | head -1` is worth knowing by heart.")
def test_busiest_author(machine):
    """busiest.txt names the author with the most books"""
    said = answer(machine, "busiest.txt")
    names = [book[1] for book in books(machine)]
    most = max(names.count(name) for name in names)
    assert said in names, f"busiest.txt says {said[:40]!r}, which is nobody's name in the catalogue"
    assert names.count(said) == most, f"busiest.txt says {said!r}; somebody else has more books"
