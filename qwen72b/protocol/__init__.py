"""What is said to a Space, without I/O."""
