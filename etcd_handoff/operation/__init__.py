"""What operations decide, as pure functions of their state: no Temporal, no client library, no clock, no I/O."""
