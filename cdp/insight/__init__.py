"""What the console asks: answers read from the published warehouse and from the document store."""
