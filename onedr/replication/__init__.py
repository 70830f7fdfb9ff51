"""What travels with an image, and how far its copy is. No verbs."""
