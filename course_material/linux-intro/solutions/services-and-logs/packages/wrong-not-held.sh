#!/bin/bash
# Not held, and the answer is a sentence.
set -euo pipefail
apt-get -q update
apt-get -qy install figlet
mkdir -p /root/answers
dpkg -S /usr/bin/ss > /root/answers/owner.txt
