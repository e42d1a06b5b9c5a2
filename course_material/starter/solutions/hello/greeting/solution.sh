#!/bin/sh
echo hello > /srv/greetings/hello
chmod 600 /srv/greetings/hello
