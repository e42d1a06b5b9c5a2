#!/bin/bash
# Stopped, and back after the next boot; the ticker was hit too.
set -euo pipefail
systemctl stop grinder ticker
