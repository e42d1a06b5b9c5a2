#!/bin/sh
echo hello > /srv/greetings/hello
