"""The composition: which adapters a deployment is made of."""
