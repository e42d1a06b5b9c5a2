#!/bin/sh
# `db` keeps the shop's stock list. The user deploy may fetch it, so far with a password that everybody knows.
set -eu
useradd --create-home --shell /bin/bash deploy
echo 'deploy:llama' | chpasswd
cat >> /etc/ssh/sshd_config <<'CONFIG'

# How the web machine gets in. A password is not the best of ways.
Match User deploy
    PasswordAuthentication yes
CONFIG
kill -HUP "$(cat /run/sshd.pid)"

mkdir -p /srv/data
seed=$(( 0x$(sha256sum /etc/ssh/ssh_host_ed25519_key.pub | cut -c1-7) + 1 ))
awk -v seed="$seed" 'BEGIN {
    srand(seed)
    animals = split("alpaca camel guanaco llama vicuna", animal, " ")
    for (n = 1; n <= animals; n++) printf "%s,%d\n", animal[n], 1 + int(rand() * 90)
}' > /srv/data/stock.csv
chown -R deploy:deploy /srv/data
chmod 640 /srv/data/stock.csv
