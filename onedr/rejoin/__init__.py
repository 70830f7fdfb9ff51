"""The site that comes back: split-brain, guard, reprotect."""
