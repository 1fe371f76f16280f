"""`python -m kalshi_trio`."""

from kalshi_trio.cli import main

if __name__ == "__main__":
    main()
