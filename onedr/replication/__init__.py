"""What is replicated with an image, and the state of its copy. No verbs."""
