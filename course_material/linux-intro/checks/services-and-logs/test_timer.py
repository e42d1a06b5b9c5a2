"""A timer, on the machine `box`."""

import pytest


@pytest.mark.task("night-backup", title="A backup every night")
@pytest.mark.points(2)
@pytest.mark.hint("Try the service by itself: `systemctl start backup`, then `journalctl -u backup`.")
@pytest.mark.changes("/var/backups")
def test_backup_makes_an_archive(machine):
    """backup.service packs /srv/shop into /var/backups/shop.tar.gz, and ends"""
    seen = machine.check_output("systemctl show -P LoadState backup.service")
    assert seen == "loaded", "systemd knows no backup.service"
    machine.run("mv -f /var/backups/shop.tar.gz /var/backups/shop.tar.gz.before")
    started = machine.run("timeout 8 systemctl start backup.service")
    assert started.rc == 0, (
        f"systemctl start backup.service ended with {started.rc}: {started.stderr.strip()}"
    )
    listing = machine.run("tar -tzf /var/backups/shop.tar.gz")
    assert listing.rc == 0, "after a run of the service there was no readable /var/backups/shop.tar.gz"
    names = {line.rsplit("/", 1)[-1] for line in listing.stdout.splitlines()}
    missing = {"stock.csv", "README"} - names
    assert not missing, f"the archive lacks {', '.join(sorted(missing))}"


@pytest.mark.task("night-backup")
@pytest.mark.hint("`systemctl list-timers` lists those that run. Enabling it alone does not start it.")
def test_timer_runs(machine):
    """backup.timer runs now, and will at the next boot"""
    active = machine.run("systemctl is-active backup.timer").stdout.strip()
    assert active == "active", f"systemctl is-active backup.timer says: {active}"
    enabled = machine.run("systemctl is-enabled backup.timer").stdout.strip()
    assert enabled == "enabled", f"systemctl is-enabled backup.timer says: {enabled}"


@pytest.mark.task("night-backup")
@pytest.mark.hint("`systemd-analyze calendar '…'` explains an expression and says when it comes next.")
def test_time_is_half_past_three(machine):
    """It goes off every day at 03:30, and makes up for a run that was missed"""
    calendar = machine.run("systemctl show -P TimersCalendar backup.timer").stdout
    assert calendar.strip(), "backup.timer has no OnCalendar"
    assert "OnCalendar=*-*-* 03:30:00 " in calendar, f"it goes off so: {calendar.split(' ; ')[0].strip(' {')}"
    persistent = machine.check_output("systemctl show -P Persistent backup.timer")
    assert persistent == "yes", "a run that was missed while the machine was off is not made up for"
