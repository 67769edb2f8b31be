"""Lets `python -m shadow_router` do what the console command does."""

from shadow_router.cli import main

if __name__ == "__main__":
    main()
