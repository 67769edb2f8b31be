"""Let ``python -m iris_api`` do what ``iris-api`` does."""

from iris_api.main import main

if __name__ == "__main__":
    main()
