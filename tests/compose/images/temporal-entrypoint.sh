#!/bin/sh
# Temporal's services tell each other an address, and none of them can dial 0.0.0.0.
set -eu
TEMPORAL_BROADCAST_ADDRESS=$(hostname -i)
export TEMPORAL_BROADCAST_ADDRESS
exec temporal-server start
