"""Meta-surrogates that ship with the package, one for each space, each with its model card."""
