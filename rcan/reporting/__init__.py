"""From the files an evaluation wrote to tables, figures and a page. Reads and writes files only."""
