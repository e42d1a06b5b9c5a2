#!/bin/bash
# A script called figlet is not the package figlet.
set -euo pipefail
printf '#!/bin/sh\nexec echo "$@"\n' > /usr/local/bin/figlet
chmod 755 /usr/local/bin/figlet
mkdir -p /root/answers
echo coreutils > /root/answers/owner.txt
