"""What happens to the service and its database while well-behaved clients check every answer."""
