"""`python -m mitlgan` is the command `mitlgan`."""

from mitlgan.cli import main

if __name__ == "__main__":
    main()
