"""jsrpd joins two Linux routers into one chassis cluster."""

__version__ = "0.1.0"
