"""What is made from the source for distribution: manual pages, completion, the Debian package."""
