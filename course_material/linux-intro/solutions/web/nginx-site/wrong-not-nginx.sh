#!/bin/bash
# Answers on port 80, for as long as the shell lives.
set -euo pipefail
mkdir -p /srv/www
echo '<h1>Llama shop</h1>' > /srv/www/index.html
setsid --fork python3 -m http.server --directory /srv/www 80 > /dev/null 2>&1 < /dev/null
sleep 1
