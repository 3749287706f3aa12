"""From a raw data set to studies and packed images on disk."""
