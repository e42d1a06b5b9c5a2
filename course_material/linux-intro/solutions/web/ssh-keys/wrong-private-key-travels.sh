#!/bin/bash
# Copies the private key as well.
set -euo pipefail
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
printf '#!/bin/sh\necho llama\n' > /root/askpass
chmod 700 /root/askpass
export SSH_ASKPASS=/root/askpass SSH_ASKPASS_REQUIRE=force
ssh-copy-id -i /root/.ssh/id_ed25519.pub -o StrictHostKeyChecking=accept-new deploy@db
scp -o BatchMode=yes /root/.ssh/id_ed25519 deploy@db:.ssh/
