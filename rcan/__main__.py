"""`python -m rcan` is `rcan`."""

from rcan.cli import main

if __name__ == "__main__":
    main()
