"""Real guests: a kernel and an initramfs, the program inside them that counts on, a VMM that runs them."""
