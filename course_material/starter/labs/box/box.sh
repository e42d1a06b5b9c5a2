#!/bin/sh
# Runs once, as root, before anybody gets the machine: plant files, make users, break a service.
mkdir /srv/greetings
