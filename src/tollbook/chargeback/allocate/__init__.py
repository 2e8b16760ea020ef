"""Who bears what is nobody's alone: policies, and models where calls name no owner."""
