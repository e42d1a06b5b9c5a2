#!/bin/bash
set -euo pipefail
groupadd editors
useradd --create-home --shell /bin/bash --groups editors ada
