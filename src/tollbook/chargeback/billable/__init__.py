"""What tenants are charged: rules, allowances, explained."""
