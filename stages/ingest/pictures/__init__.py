"""Image files: found by name, decoded and checked, made upright, and compared by their looks."""
