"""`python -m cxrlib` is the command `cxr`: what `torchrun -m cxrlib` needs."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="cxr")
