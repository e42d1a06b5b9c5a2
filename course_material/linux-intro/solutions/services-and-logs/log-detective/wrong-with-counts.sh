#!/bin/bash
# Leaves the counts of uniq -c in the answers.
set -euo pipefail
mkdir -p /root/answers
cd /var/log/shop
awk '$9 == 500' access.log | wc -l > /root/answers/errors.txt
cut -d' ' -f1 access.log | sort | uniq -c | sort -rn | sed -n 1p > /root/answers/client.txt
awk '$9 == 404 {print $7}' access.log | sort | uniq -c | sort -rn | sed -n 1p > /root/answers/missing.txt
