"""What every command shares: options, signals, memory."""
