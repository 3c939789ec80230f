"""Learns the weights of the local classifier: `make train DATA=prompts.jsonl`. Not shipped."""
