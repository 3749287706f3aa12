"""Where a model looks while it writes: attention over patches, its place in the picture, a test."""
