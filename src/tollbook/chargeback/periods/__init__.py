"""A month goes from open to closed, with checks, approvals and a seal."""
