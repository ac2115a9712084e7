"""Input and output only: what is decided comes from `logferry_agent.core`."""
