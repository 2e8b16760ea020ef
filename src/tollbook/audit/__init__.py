"""The auditor: where a pipeline loses whose call it is, what that costs, and what to change.

It reads what a team already has (traces, gateway logs), needs nothing but the base install, and
sends nothing anywhere. Data flows one way: inputs (files to spans) -> extract (spans to facts,
without content) -> grouping (facts to traces) -> rules (traces to hits) -> tally (hits to findings)
-> report.
"""
