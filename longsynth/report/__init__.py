"""Pictures and reports about cohorts, real and synthetic."""
