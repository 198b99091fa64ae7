"""What is wrong with the data: what readers find, what the policy makes of it, and a picture of the worst."""
