#!/bin/sh
# The official image's server is built with protected mode off.
[ "$1" != redis-server ] || set -- "$@" --protected-mode no
exec "$@"
