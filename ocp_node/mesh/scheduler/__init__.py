"""Why a job went where it went."""
