"""Entry point of `python -m optical_ir`."""

from optical_ir.cli import main

if __name__ == "__main__":
    main()
