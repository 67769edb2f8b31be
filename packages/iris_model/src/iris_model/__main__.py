"""Let ``python -m iris_model`` do what ``iris-model`` does."""

from iris_model.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
