#!/bin/bash
# Takes the wrong column, and counts all lines.
set -euo pipefail
mkdir -p /root/answers
cd /srv/library
wc -l < catalogue.csv > /root/answers/systems.txt
cut -d';' -f3 catalogue.csv | sort -u > /root/answers/authors.txt
cut -d';' -f3 catalogue.csv | sort | uniq -c | sort -rn | sed -n 1p > /root/answers/busiest.txt
