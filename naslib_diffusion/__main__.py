"""`python -m naslib_diffusion` is the program `naslib-diffusion`."""

from naslib_diffusion.cli import main

if __name__ == "__main__":
    main()
