#!/bin/bash
# The right words, from a plain file.
set -euo pipefail
mkdir -p /srv/llama
cd /srv/llama
echo 'Hello, llama' > index.html
setsid --fork python3 -m http.server 8080 > /dev/null 2>&1 < /dev/null
# It counts as started at once; it answers a moment later.
for _ in $(seq 100); do curl -fsS -o /dev/null http://localhost:8080/ 2>/dev/null && exit; sleep 0.1; done
exit 1
