"""The life of a VM: creation, placement, and a state machine whose stages run driver commands."""
