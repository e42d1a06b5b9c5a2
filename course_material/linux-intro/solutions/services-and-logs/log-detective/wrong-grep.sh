#!/bin/bash
# grep finds 500 and 404 in the sizes and addresses too.
set -euo pipefail
mkdir -p /root/answers
cd /var/log/shop
grep -c 0 access.log > /root/answers/errors.txt
cut -d' ' -f1 access.log | sort | uniq -c | sort -rn | awk 'NR == 1 {print $2}' > /root/answers/client.txt
awk '$9 == 404 {print $7}' access.log | sort | uniq -c | sort -n | awk 'NR == 1 {print $2}' > /root/answers/missing.txt
