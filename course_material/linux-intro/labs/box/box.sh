#!/bin/bash
# Puts on a fresh `box` what the first three assignments work with.
set -euo pipefail

# Every machine has its own numbers: the seed comes from its host key, so a reset gives the same ones again.
seed=$(( 0x$(sha256sum /etc/ssh/ssh_host_ed25519_key.pub | cut -c1-7) + 1 ))

# --- first-steps: an untidy inbox, a catalogue, and letters --------------------------------------
mkdir -p /srv/inbox /srv/library /srv/letters
for name in plan travel recipes; do echo "Notes on the $name." > "/srv/inbox/$name.txt"; done
for name in monday tuesday; do echo "$name: nothing happened" > "/srv/inbox/$name.log"; done
for number in 1 2 3 4; do echo "scratch $number" > "/srv/inbox/draft-$number.tmp"; done
echo "kept out of sight" > /srv/inbox/.hidden.tmp

awk -v seed="$seed" 'BEGIN {
    srand(seed)
    authors = split("Abelson Brooks Conway Dijkstra Feynman Hamilton Hopper Kernighan Knuth Liskov Lovelace Ritchie Thompson", author, " ")
    shelves = split("algorithms history languages networks systems", shelf, " ")
    topics = split("Machines Letters Compilers Numbers Networks Kernels Proofs Signals", topic, " ")
    for (n = 1; n <= 400; n++)
        printf "%04d;%s;%s, volume %d;%d;%s\n", n, author[1 + int(rand() * authors)], \
            topic[1 + int(rand() * topics)], 1 + int(rand() * 9), 1950 + int(rand() * 70), shelf[1 + int(rand() * shelves)]
}' > /srv/library/catalogue.csv

echo "Nobody else may read this." > /srv/letters/diary.txt
echo "Meeting at noon, everybody is welcome." > /srv/letters/notice.txt
printf '#!/bin/sh\necho "Good morning from $(hostname)"\n' > /srv/letters/greet
chmod 666 /srv/letters/*
chmod 777 /srv/letters

# --- people-and-processes: a process that comes back, its harmless neighbour, a program to run ---
cat > /usr/local/bin/grinder <<'SCRIPT'
#!/bin/bash
# Grinds away, and is in nobody's way but its own.
while sleep 1; do :; done
SCRIPT
sed 's/^# .*/# Keeps the time for everybody else./' /usr/local/bin/grinder > /usr/local/bin/ticker
for name in grinder ticker; do
    cat > "/etc/systemd/system/$name.service" <<UNIT
[Unit]
Description=The $name

[Service]
ExecStart=/usr/local/bin/$name
Restart=always
RestartSec=500ms

[Install]
WantedBy=multi-user.target
UNIT
done

useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin pulse
mkdir -p /opt/heartbeat
cat > /opt/heartbeat/heartbeat <<'SCRIPT'
#!/bin/bash
# Writes a beat a second to standard output, until it is stopped.
while sleep 1; do echo "beat $((++count))"; done
SCRIPT

# --- services-and-logs: a shop's log, and a service with two faults ------------------------------
mkdir -p /var/log/shop /srv/shop
awk -v seed="$((seed + 1))" 'BEGIN {
    srand(seed)
    paths = split("/ /cart /checkout /images/llama.png /login /products /products/42 /robots.txt /search /wp-admin", path, " ")
    for (n = 1; n <= 40; n++) client[n] = "10." int(rand() * 250) "." int(rand() * 250) "." 1 + int(rand() * 250)
    for (n = 0; n < 3000; n++) {
        who = client[1 + int(rand() * rand() * 40)]
        what = path[1 + int(rand() * paths)]
        luck = rand()
        status = 200
        if (luck < 0.04) status = 500
        else if (luck < 0.12 || (what == "/wp-admin" && luck < 0.8)) status = 404
        else if (luck < 0.2) status = 302
        printf "%s - - [12/Oct/2026:%02d:%02d:%02d +0000] \"GET %s HTTP/1.1\" %d %d\n", \
            who, n / 125, n / 2.0833 % 60, n * 28.8 % 60, what, status, 200 + int(rand() * 9000)
    }
}' > /var/log/shop/access.log
printf 'llama,12\nalpaca,3\nvicuna,7\n' > /srv/shop/stock.csv
echo "The shop opens at nine." > /srv/shop/README

useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin greeter
printf 'GREETING="Good morning"\nPASSWORD="correct horse"\n' > /etc/greeter.conf
chmod 600 /etc/greeter.conf
cat > /usr/local/bin/greeter <<'SCRIPT'
#!/bin/bash
# Says its greeting every ten seconds into /run/greeter/greeting.
set -e
. /etc/greeter.conf
while true; do echo "$GREETING" > /run/greeter/greeting; sleep 10; done
SCRIPT
chmod 755 /usr/local/bin/{grinder,ticker,greeter}
cat > /etc/systemd/system/greeter.service <<'UNIT'
[Unit]
Description=Says good morning

[Service]
User=greeter
RuntimeDirectory=greeter
ExecStart=/usr/local/bin/greter

[Install]
WantedBy=multi-user.target
UNIT

systemctl daemon-reload
systemctl --quiet enable --now grinder.service ticker.service
