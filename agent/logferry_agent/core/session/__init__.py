"""The protocol session with the cloud: job states, what to send next, and what each answer means."""
