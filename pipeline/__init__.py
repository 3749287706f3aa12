"""One thin script a DVC stage: load the settings, make one call, write the outputs."""

import os
import signal
import sys

if sys.argv[0] == "-m":  # `python -m pipeline.<stage>`: until `run` can say so, Ctrl-C just ends it
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ["MPLBACKEND"] = "agg"  # with a notebook's, matplotlib may refuse to load
    # NumPy's products are small here: several threads would wait for each other, and give other
    # last bits than one.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
