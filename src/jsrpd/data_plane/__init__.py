"""What the kernel shall look like and what the segments shall hear: plans, gate programs and frames. Pure."""
