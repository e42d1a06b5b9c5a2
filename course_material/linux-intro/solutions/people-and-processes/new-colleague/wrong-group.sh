#!/bin/bash
# The group exists, and ada is not in it.
set -euo pipefail
groupadd editors
useradd --create-home --shell /bin/bash ada
