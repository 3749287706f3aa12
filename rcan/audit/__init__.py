"""What printed BLEU tells of the reports behind it: their length, and whether all are one."""
