"""What one client can cost everybody else: bounded, however busy the machine is."""
