"""RCAN: chest X-rays in, a radiology report out; the paper reproduced from raw data to tables."""
