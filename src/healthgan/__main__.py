"""``python -m healthgan``."""

from healthgan.cli import main

if __name__ == "__main__":
    main()
