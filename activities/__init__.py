"""Activities: each reads, decides whether its effect is still wanted, acts, and reads again."""
