"""What a download survives, and what that costs: processes killed at random, and single faults with a clock."""
