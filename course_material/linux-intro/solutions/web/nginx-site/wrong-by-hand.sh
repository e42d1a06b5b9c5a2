#!/bin/bash
# Writes the stock list by hand.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -qy install nginx
mkdir -p /srv/www
echo '<h1>Llama shop</h1>' > /srv/www/index.html
echo 'llama,1' > /srv/www/stock.csv
cat > /etc/nginx/sites-available/default <<'CONF'
server {
    listen 80 default_server;
    root /srv/www;
}
CONF
nginx -t
systemctl reload nginx
