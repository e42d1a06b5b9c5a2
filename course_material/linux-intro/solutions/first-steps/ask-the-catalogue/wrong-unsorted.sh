#!/bin/bash
# uniq without sort only drops neighbours.
set -euo pipefail
mkdir -p /root/answers
cd /srv/library
grep -c ';systems$' catalogue.csv > /root/answers/systems.txt
cut -d';' -f2 catalogue.csv | uniq > /root/answers/authors.txt
cut -d';' -f2 catalogue.csv | uniq -c | sort -n | sed -n 1p | awk '{print $2}' > /root/answers/busiest.txt
