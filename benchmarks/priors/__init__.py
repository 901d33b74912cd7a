"""What is known before measuring: priors, how they are made, what they are worth."""
