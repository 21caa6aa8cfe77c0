"""Pure rules, no input or output: what the platform knows about people, consent and days."""
