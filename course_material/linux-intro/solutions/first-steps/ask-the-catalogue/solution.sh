#!/bin/bash
set -euo pipefail
mkdir -p /root/answers
cd /srv/library
grep -c ';systems$' catalogue.csv > /root/answers/systems.txt
cut -d';' -f2 catalogue.csv | sort -u > /root/answers/authors.txt
cut -d';' -f2 catalogue.csv | sort | uniq -c | sort -rn | sed -n 1p | awk '{print $2}' > /root/answers/busiest.txt
