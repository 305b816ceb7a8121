"""`python -m api.cli`: the same as `grantledger`, where scripts of the environment are off PATH."""

from api.cli.program import main

if __name__ == "__main__":
    main()
