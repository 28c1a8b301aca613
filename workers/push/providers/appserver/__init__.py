"""XEP-0357: app servers, to which this server publishes: those that clients name, and those an operator configures."""
