"""Models of what each command prints with `-o json`, which check the output and make the schemas in docs/schemas."""
