#!/bin/bash
# A script called tree is not the package tree.
set -euo pipefail
printf '#!/bin/sh\nexec find "$@"\n' > /usr/local/bin/tree
chmod 755 /usr/local/bin/tree
mkdir -p /root/answers
echo coreutils > /root/answers/owner.txt
