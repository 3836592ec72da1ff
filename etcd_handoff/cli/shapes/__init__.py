"""What each command prints with `-o json`: models by which the output is checked, and the schemas of docs/schemas."""
