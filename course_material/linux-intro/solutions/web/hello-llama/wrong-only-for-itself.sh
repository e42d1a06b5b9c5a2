#!/bin/bash
# Answers web itself, and nobody else.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -qy install python3-django
mkdir -p /srv/llama
django-admin startproject llama /srv/llama
cd /srv/llama
cat > llama/urls.py <<'PYTHON'
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("", lambda request: HttpResponse("Hello, llama"))]
PYTHON
sed -i "s/^ALLOWED_HOSTS = .*/ALLOWED_HOSTS = ['*']/" llama/settings.py
setsid --fork python3 manage.py runserver 127.0.0.1:8080 > /var/log/llama.log 2>&1 < /dev/null
# It counts as started at once; it answers a moment later.
for _ in $(seq 100); do curl -fsS -o /dev/null http://localhost:8080/ 2>/dev/null && exit; sleep 0.1; done
exit 1
