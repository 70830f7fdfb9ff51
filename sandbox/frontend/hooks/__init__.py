"""From a change to a hook: the event bus of the front-end, the hook process, the records of executions."""
