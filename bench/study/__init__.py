"""Human studies: people say which of two runs answers the same case better."""
