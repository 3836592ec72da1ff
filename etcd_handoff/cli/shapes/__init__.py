"""Models of what each command prints with `-o json`, which check the output and make the schemas in docs/schemas.

The values come from functions such as `status_object` in `etcd_handoff.cli.render`.
"""
