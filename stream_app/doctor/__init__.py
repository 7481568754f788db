"""What is wrong with a cluster or this machine, why it matters and how to mend it; read-only."""
