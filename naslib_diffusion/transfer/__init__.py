"""Transfer: what other tasks and data sets say about the architectures of a new one."""
