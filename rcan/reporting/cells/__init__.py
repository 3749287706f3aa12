"""All cells beside the paper: its tables and figures, the controls, one page with everything."""
