"""Properties say what comes out, never how long a busy machine takes for it; and each run tries the same."""

from hypothesis import HealthCheck, settings

settings.register_profile("unhurried", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
