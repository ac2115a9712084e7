"""What every function needs of AWS: settings from the environment, keys, errors, metrics and WebSocket pushes."""
