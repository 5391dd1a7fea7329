//! The node and the agent that are installed on this machine.
