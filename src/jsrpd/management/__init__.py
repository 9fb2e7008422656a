"""What processes and operators say to each other: messages, the server's protocol, the client."""
