#!/bin/bash
# Django is asked for /hello/, which it does not know.
# after: nginx-site hello-llama
set -euo pipefail
chown -R www-data: /srv/llama
pkill -f 'manage.py runserver' || true
cat > /etc/systemd/system/llama.service <<'UNIT'
[Unit]
Description=Hello, llama

[Service]
WorkingDirectory=/srv/llama
ExecStart=/usr/bin/python3 manage.py runserver --noreload 127.0.0.1:8080
User=www-data
Restart=always

[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl --quiet enable --now llama
cat > /etc/nginx/sites-available/default <<'CONF'
server {
    listen 80 default_server;
    root /srv/www;

    location /hello/ {
        proxy_pass http://127.0.0.1:8080;
    }
}
CONF
nginx -t
systemctl reload nginx
# It counts as started at once; it answers a moment later.
for _ in $(seq 100); do curl -fsS -o /dev/null http://localhost:8080/ 2>/dev/null && exit; sleep 0.1; done
exit 1
