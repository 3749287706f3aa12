"""One thin script a DVC stage: load the settings, make one call, write the outputs."""
