"""Values every room shares: time, roles, link messages, configuration, status. Imports nothing of ours."""
