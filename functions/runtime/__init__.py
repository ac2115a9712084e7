"""What every function needs of AWS: settings, clients, errors, keys, metrics and WebSocket pushes."""
